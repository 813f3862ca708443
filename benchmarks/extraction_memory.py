"""Peak memory of extraction: 200,000 cells through 13 layers, beside 5,000 of the same cells.

Both runs are the script as a user runs it, with a scFoundation of 12 blocks, random weights and few genes (so
that the forward pass takes minutes, not days); what is stored per cell and layer is what could pile up.

    python benchmarks/extraction_memory.py --hidden 128
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from layerscope.models.scfoundation_files import write_release
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder

ROOT = Path(__file__).resolve().parents[1]
GENES, EXPRESSED, LAYERS = 200, 12, 12


def write_cells(path: Path, n_cells: int) -> None:
    """An h5ad file of cells that express twelve genes each."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        x.attrs["shape"] = np.array([n_cells, GENES])
        x["indptr"] = np.arange(n_cells + 1, dtype=np.int64) * EXPRESSED
        x["indices"] = np.sort(draw.random((n_cells, GENES)).argpartition(EXPRESSED)[:, :EXPRESSED]).ravel()
        x["data"] = draw.poisson(3.0, n_cells * EXPRESSED).astype(np.float32) + 1
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
        write_elem(file, "var", pd.DataFrame(index=[f"G{i}" for i in range(GENES)]))


def peak(folder: Path, n_cells: int) -> tuple[float, float, int]:
    """Extract; peak memory in GiB, seconds, and bytes of the embeddings file."""
    cells, output = folder / f"cells{n_cells}.h5ad", folder / f"layers{n_cells}.h5ad"
    write_cells(cells, n_cells)
    given = {"family": "scfoundation", "weights": folder, "cells": cells, "output": output, "threads": 1}
    command = [sys.executable, str(ROOT / "scripts" / "extract_layers.py"), "--device=cpu"]
    command += [f"--{name}={value}" for name, value in given.items()]
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    highest = 0
    while process.poll() is None:
        highest = high_water_mark(process.pid) or highest
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"extraction of {n_cells} cells failed")
    return highest / 2**20, time.monotonic() - start, output.stat().st_size


def high_water_mark(process: int) -> int:
    """Most memory that a process has held, in KiB; 0 once it has ended.

    What ``wait4`` tells of a child would not do: it is never less than what its parent held.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else 0


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--hidden", type=int, default=128)
    p.add_argument("--cells", type=int, nargs="+", default=[5000, 200_000])
    args = p.parse_args()
    config = ScFoundationConfig(
        n_genes=GENES, hidden_size=args.hidden, n_layers=LAYERS, heads=4, feed_forward=4 * args.hidden
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_release(folder, {"cell": ScFoundationEncoder.fresh(config, 0)}, [f"G{i}" for i in range(GENES)])
        for n_cells in args.cells:
            memory, seconds, size = peak(folder, n_cells)
            print(
                f"{n_cells:7d} cells x {LAYERS + 1} layers x {args.hidden}: peak {memory:.3f} GiB, "
                f"{seconds:.0f} s, file {size / 2**30:.2f} GiB"
            )


if __name__ == "__main__":
    main()
