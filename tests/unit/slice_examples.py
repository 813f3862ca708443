"""A screen of 1,500 cells in the owners' layout, stored in several ways, and slices of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata

from fault_server import FaultServer
from layerscope.cells.slices import slice_cells
from layouts import write_cd4_perturbseq

FILE = "D1_Rest.assigned_guide.h5ad"
SELECTION = {"most_cells": 3, "max_cells_per_perturbation": 30, "max_control_cells": 25, "seed": 5}
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (2000,)},
    "gzip": {"chunks": (2000,), "compression": "gzip"},
    "lzf": {"chunks": (1500,), "compression": "lzf", "shuffle": True},
    "appended": {"chunks": (333,)},
    "appended_gzip": {"chunks": (333,), "compression": "gzip"},
}


def write_original(folder: Path, layout: str) -> Path:
    """Write the whole file."""
    appended = 100 if layout.startswith("appended") else None
    write_cd4_perturbseq(folder / FILE, n_cells=1500, storage=STORAGE[layout], appended=appended)
    return folder / FILE


def serving(original: Path, **how: Any) -> FaultServer:
    """A server that has this file."""
    return FaultServer({f"/b/{FILE}": original.read_bytes()}, **how)


def sliced(server: FaultServer, folder: Path, attempts: int = 8, **settings: Any) -> anndata.AnnData:
    """Cut a slice into a folder; its cells."""
    folder.mkdir(exist_ok=True)
    asked = {"url": f"{server.url}/b/{FILE}", "kind": "cd4_perturbseq", "selection": SELECTION, **settings}
    slice_cells(asked, folder / "slice.h5ad", folder / "choice.tsv", attempts=attempts, wait=0.001)
    return anndata.read_h5ad(folder / "slice.h5ad")
