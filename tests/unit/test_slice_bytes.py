"""Bytes that a slice moves, counted by the server: little more than its rows and the columns it reads."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem
from scipy import sparse

from fault_server import FaultServer
from layerscope.cells.slices import slice_cells
from layerscope.sources.manifest import read_manifest

N_CELLS, N_GENES, PER_CELL, SHARE = 16_000, 1_500, 500, 0.016


@cache
def cells() -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts, and which 1.6% of the cells, at random, are wanted."""
    rng = np.random.default_rng(0)
    counts = sparse.random(N_CELLS, N_GENES, PER_CELL / N_GENES, "csr", np.float32, rng)
    wanted = np.zeros(N_CELLS, dtype=bool)
    wanted[rng.choice(N_CELLS, int(SHARE * N_CELLS), replace=False)] = True
    return counts, wanted


def write_scattered(path: Path, storage: dict[str, Any]) -> int:
    """Write the cells; returns the bytes of their tables."""
    counts, wanted = cells()
    names = [f"AACGTTAGC{i:08d}-1" for i in range(N_CELLS)]
    with h5py.File(path, "w") as made:
        made.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = made.create_group("X")  # by hand: anndata would chunk it
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": counts.shape})
        for name in ("data", "indices"):
            x.create_dataset(name, data=getattr(counts, name), **storage)
        x["indptr"] = counts.indptr
        obs = pd.DataFrame({"wanted": pd.Categorical(np.where(wanted, "yes", "no"))}, index=names)
        write_elem(made, "obs", obs)
        write_elem(made, "var", pd.DataFrame(index=[f"GENE{i}" for i in range(N_GENES)]))
    # names are text of variable length: a reference of 16 bytes; a header of 16 and the padded text in a heap
    return N_CELLS * (16 + 16 + 24) + N_CELLS + N_GENES * (16 + 16 + 8)


@pytest.mark.parametrize(
    ("layout", "storage"),
    [
        ("contiguous", {}),
        ("chunked", {"chunks": (4000,)}),
        ("small chunks", {"chunks": (600,)}),
        ("gzip", {"chunks": (4000,), "compression": "gzip"}),
    ],
)
def test_the_bytes_moved_stay_within_the_limit(tmp_path, layout, storage):
    columns = write_scattered(tmp_path / "cells.h5ad", storage)
    content = (tmp_path / "cells.h5ad").read_bytes()
    with FaultServer({"/cells.h5ad": content}) as server:
        settings = {"url": f"{server.url}/cells.h5ad", "kind": "h5ad", "subset": {"wanted": "yes"}}
        slice_cells(settings, tmp_path / "slice.h5ad", tmp_path / "choice.tsv")
        moved = server.bytes_sent
    manifest = read_manifest(tmp_path / "slice.h5ad")
    assert manifest["n_bytes_moved"] == moved
    assert manifest["n_bytes_of_file"] == len(content)
    if layout == "contiguous":
        assert moved <= 0.02 * len(content) + columns
    elif "compression" not in storage:
        rows = int(SHARE * N_CELLS) * PER_CELL * (4 + counts_index_bytes(tmp_path / "cells.h5ad"))
        assert 0.9 * rows < manifest["n_bytes_of_rows"] < 1.1 * rows
        assert moved <= 1.3 * rows + 0.02 * len(content) + columns
    else:
        assert moved <= 1.3 * _touched(tmp_path / "cells.h5ad", tmp_path / "slice.h5ad") + columns


def counts_index_bytes(path: Path) -> int:
    with h5py.File(path) as stored:
        return int(stored["X/indices"].dtype.itemsize)


def _touched(whole: Path, part: Path) -> int:
    """Bytes of the chunks that hold the slice's rows."""
    with h5py.File(whole) as stored, h5py.File(part) as cut:
        position = {name: row for row, name in enumerate(stored["obs/_index"].asstr()[()])}
        rows = [position[name] for name in cut["obs/_index"].asstr()[()]]
        indptr = stored["X/indptr"][()]
        total = 0
        for name in ("data", "indices"):
            values = stored["X"][name]
            chunks = {
                chunk
                for row in rows
                for chunk in range(indptr[row] // 4000, (indptr[row + 1] - 1) // 4000 + 1)
            }
            total += sum(values.id.get_chunk_info_by_coord((chunk * 4000,)).size for chunk in chunks)
    return total
