"""What does stopping after a layer save? CPU-seconds of extraction, whole and up to some layers, in turns.

    python benchmarks/up_to.py --layers 12 --up-to 9 6 3 --cells 100 --rounds 3

A random scFoundation of these sizes, one thread. Loading the model and opening the cells is not counted;
tokens, pooling and writing are. Promised is what layers.tsv calls ``forward_pass_saved``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.extraction.job import Extraction, prepare
from layerscope.models.network_size import NetworkSize
from layerscope.models.scfoundation_files import write_release
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.statistics.cheapest import share_saved
from layerscope.statistics.evidence import Model

BINS = 100


def write_study(folder: Path, layers: int, width: int, n_genes: int, n_cells: int) -> None:
    """A release with random weights, and cells that express about a third of its genes."""
    genes = [f"G{number}" for number in range(n_genes)]
    sizes = {"hidden_size": width, "n_layers": layers, "heads": 8, "feed_forward": 4 * width}
    network = ScFoundationEncoder.fresh(ScFoundationConfig(n_genes=n_genes, bins=BINS, **sizes), seed=1)
    write_release(folder, {"cell": network}, genes)
    counts = np.random.default_rng(1).poisson(0.4, (n_cells, n_genes)).astype(np.float32)
    cells = ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=genes))
    cells.obs_names = [f"cell{number}" for number in range(n_cells)]
    cells.write_h5ad(folder / "cells.h5ad")


def cpu_seconds(folder: Path, up_to: int) -> float:
    """CPU-seconds of running every cell up to a layer and writing the file."""
    job = Extraction(family="scfoundation", device="cpu", threads=1, up_to=up_to)
    with closing(prepare(folder, folder / "cells.h5ad", job)) as run:
        start = time.process_time()
        run.write(folder / f"{up_to}.h5ad", range(len(run.stream)))
        return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("layers", 12), ("width", 256), ("genes", 2000), ("cells", 100), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--up-to", type=int, nargs="+", default=(9, 6, 3))
    args = parser.parse_args(argv)
    width = args.width
    # the two products that mix the bins of a value
    network = NetworkSize(
        width=width, feed_forward=4 * width, max_tokens=args.genes, input_weights=BINS * (1 + BINS + width)
    )
    model = Model("m", "foundation", args.layers, **network.around_blocks())
    stops = [args.layers, *args.up_to]
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder), args.layers, width, args.genes, args.cells)
        cpu_seconds(Path(folder), 1)  # what is imported and allocated once
        rounds = [[cpu_seconds(Path(folder), stop) for stop in stops] for _ in range(args.rounds)]
    medians = np.median(rounds, axis=0)
    print("up to    CPU-s    saved   promised")
    for stop, taken in zip(stops, medians, strict=True):
        print(f"{stop:5d} {taken:8.1f} {1 - taken / medians[0]:8.1%} {share_saved(model, stop):10.1%}")


if __name__ == "__main__":
    main()
