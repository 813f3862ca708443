"""How much memory and time it takes to prepare a large file of cells.

Makes an h5ad file of sparse counts (200,000 cells x 18,000 genes by default), prepares it with
``scripts/prepare_cells.py`` in a process of its own, and prints that process's peak memory, its time, and the
sizes of both files. The memory does not depend on the number of cells but for their table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import sparse_dataset, write_elem
from scipy import sparse

ROOT = Path(__file__).resolve().parents[1]
ROWS = 250  # few, so that the peak is that of the preparation


def parser() -> argparse.ArgumentParser:
    """Arguments of this benchmark."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--cells", type=int, default=200_000)
    made.add_argument("--genes", type=int, default=18_000)
    made.add_argument("--detected", type=int, default=1500, help="genes detected per cell, on average")
    made.add_argument("--compression", choices=["none", "gzip", "lzf"], default="none")
    made.add_argument("--layout", choices=["csr", "csc"], default="csr")
    made.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    return made


def make_cells(path: Path, args: argparse.Namespace) -> int:
    """Write an h5ad file block by block; returns the number of stored values."""
    rng = np.random.default_rng(0)
    compression = None if args.compression == "none" else args.compression
    layout = {"compression": compression, "chunks": (1 << 17,), "indptr_dtype": np.int64}
    by_cells = args.layout == "csr"
    n_lines, width = (args.cells, args.genes) if by_cells else (args.genes, args.cells)
    at_once = max(int(ROWS * 18_000 / width), 1)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for start in range(0, n_lines, at_once):
            detected = rng.random((min(at_once, n_lines - start), width), dtype=np.float32)
            block = sparse.csr_matrix(detected < args.detected / args.genes, dtype=np.float32)
            block.data = rng.geometric(0.5, block.nnz).astype(np.float32)
            if start:
                sparse_dataset(file["X"]).append(block if by_cells else block.T)
            else:
                write_elem(file, "X", block if by_cells else block.T, dataset_kwargs=layout)
        cells = [f"cell_{i}" for i in range(args.cells)]
        batch = pd.Categorical(np.array(["a", "b", "c"])[np.arange(args.cells) % 3])
        write_elem(file, "obs", pd.DataFrame({"batch": batch}, index=cells))
        symbols = ["MT-" * (i < 13) + f"GENE{i}" for i in range(args.genes)]
        write_elem(file, "var", pd.DataFrame(index=symbols))
        return len(file["X/data"])


def main(argv: Sequence[str] | None = None) -> None:
    """Make, prepare, print."""
    args = parser().parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        source, output = Path(folder, "cells.h5ad"), Path(folder, "canonical.h5ad")
        n_values = make_cells(source, args)
        settings = {
            "quality": {"min_genes_per_cell": 200, "max_mitochondrial_percent": 20, "min_cells_per_gene": 10}
        }
        command = [sys.executable, "scripts/prepare_cells.py", "--condition", "large"]
        command += ["--input", source, "--settings", json.dumps(settings)]
        command += ["--output", output, "--summary", Path(folder, "summary.tsv")]
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": "workflow"})
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print(f"{args.cells:,} x {args.genes:,} ({args.layout}, {args.compression}), {n_values:,} values")
        print(f"peak memory {peak:.2f} GB, {seconds:.0f} s")
        print(f"source {source.stat().st_size / 1e9:.2f} GB, canonical {output.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
