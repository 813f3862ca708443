"""Speed of everything but the forward pass: reading, tokenising, packing, and pooled layers to disk.

A network that returns at once stands in for each family: the vocabulary, the length of sentences, and number
and width of layers are those of the real size (``extraction_models.py``), but forward pass and pooling, which
a GPU does, give zeros at once. What is left is what a host must do so that a GPU does not wait for it. Cells
express 1,000 to 3,000 genes each and stand in a file as canonical cells do. They are shared out among a
process for each core, as ``--shard`` does, or among ``--processes``.

    python benchmarks/host_work.py --cores 8
    python benchmarks/host_work.py --cores 2 --processes 1 --family uce --size 33layer
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from anndata.io import write_elem
from extraction_models import RealSize, real_size
from scipy import sparse
from torch import Tensor

from layerscope.cells.matrix import append_rows
from layerscope.extraction.engine import TOKEN_BUDGET
from layerscope.extraction.job import Extraction, Run, prepare, stretch
from layerscope.extraction.partial_run import Column
from layerscope.models.base import TokenBatch
from layerscope.tables import OFFICIAL

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))  # it writes small releases
from family_examples import EXAMPLES
from model_examples import restate

PROMISED = 250.0  # cells a second and core
CELLS_AT_ONCE = 1024
# how a release is written with the real vocabulary and length of sentences
RELEASES: Mapping[str, Mapping[str, int]] = {
    "scfoundation": {"n_genes": 19264},
    "tahoe_x1": {"n_genes": 62717, "max_length": 2048},
    "scgpt": {"n_genes": 60694, "max_length": 1200},
    "geneformer": {"n_genes": 20271, "max_length": 4096},
    "transcriptformer": {"n_genes": 19796, "length": 2048},
    "uce": {"n_genes": 19790, "n_positions": 1536},
    "nicheformer": {"n_genes": 20310, "length": 1500},
    "state_se": {"n_genes": 19790, "length": 2048},
    "scconcept": {"n_genes": 20000, "max_genes": 1000},
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {"uce": {"sample_size": 1024}}
LARGEST = {"tahoe_x1": "1b", "geneformer": "v2_316m", "uce": "33layer"}  # of what GPUs run by the million


@dataclass(frozen=True, kw_only=True)
class Share:
    """One of several equal shares of the cells, for a process of its own on some cores."""

    weights: Path
    cells: Path
    family: str
    size: str
    number: int
    of: int
    cores: tuple[int, ...]


def write_cells(path: Path, gene: str, n_cells: int, n_genes: int) -> None:
    """Cells as the workflow prepares them: counts as CSR, lightly compressed."""
    draw = np.random.default_rng(0)
    rates = draw.gamma(0.1, size=n_genes)
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for start in range(0, n_cells, CELLS_AT_ONCE):
            depth = draw.uniform(1_500, 7_000, (min(CELLS_AT_ONCE, n_cells - start), 1))
            counts = draw.poisson(depth * rates / rates.sum())
            append_rows(file, "X", sparse.csr_matrix(counts.astype(np.float32)))
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
        write_elem(file, "var", pd.DataFrame(index=[gene.format(i) for i in draw.permutation(n_genes)]))


def columns_of(size: RealSize) -> list[Column]:
    """The layers of a network of real size as they are stored."""
    widths = [size.config.hidden_size] * (size.config.n_layers + 1)
    columns = [Column(f"{layer:02d}", width, np.dtype(np.float32)) for layer, width in enumerate(widths)]
    return [*columns, Column(OFFICIAL, size.official * widths[-1], np.dtype(np.float32))]


def at_once(run: Run, size: RealSize) -> Run:
    """A run whose network, of a real size, gives zeros without computing."""
    model, hidden, n_layers = run.model, size.config.hidden_size, size.config.n_layers
    official = size.official * hidden

    def layers(batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        return ((layer, batch.starts) for layer in range(n_layers + 1))

    vars(model).update(
        layers=layers,
        pool=lambda hidden_states, batch, pooling: torch.zeros(batch.n_cells, hidden),
        official=lambda hidden_states, batch: torch.zeros(batch.n_cells, official),
        official_layer=n_layers,
    )
    return replace(run, columns=columns_of(size))


def run_share(share: Share) -> tuple[float, float, float]:
    """When it began and ended, and its CPU-seconds; without reading the model and opening the file."""
    os.sched_setaffinity(0, share.cores)
    settings = {**EXAMPLES[share.family].settings, **SETTINGS.get(share.family, {})}
    job = Extraction(
        family=share.family,
        device="cpu",
        threads=1,
        token_budget=TOKEN_BUDGET["cuda"],
        settings=settings,
    )
    with closing(prepare(share.weights, share.cells, job)) as run:
        timed = at_once(run, real_size(share.family, share.size))
        start, spent = time.time(), time.process_time()
        rows = stretch(len(run.stream), share.number, share.of)
        timed.write(share.cells.with_name(f"{share.family}{share.number}.h5ad"), rows)
        return start, time.time(), time.process_time() - spent


def measure(folder: Path, family: str, args: argparse.Namespace) -> None:
    """Write what a family needs, run all shares at once, print a line."""
    example, size = EXAMPLES[family], args.size or LARGEST.get(family, "")
    weights = folder / family
    example.write(weights, **RELEASES[family])  # type: ignore[call-arg]
    if family == "scgpt":
        restate(weights / "args.json", n_bins=51)
    cells = folder / f"{len(example.gene)}.h5ad"
    if not cells.exists():
        write_cells(cells, example.gene, args.cells, args.genes)
    cores = tuple(sorted(os.sched_getaffinity(0))[: args.cores])
    shares = [
        Share(
            weights=weights,
            cells=cells,
            family=family,
            size=size,
            number=number,
            of=args.processes,
            cores=cores,
        )
        for number in range(1, args.processes + 1)
    ]
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        starts, ends, spent = zip(*pool.map(run_share, shares), strict=True)
    rate = args.cells / (max(ends) - min(starts))
    bytes_of_cell = sum(4 * column.width for column in columns_of(real_size(family, size)))
    print(
        f"{family:18}{size:10}{rate:8.0f} cells/s{rate / args.cores:8.0f} a core"
        f"{args.cells / sum(spent):8.0f} a CPU-second{bytes_of_cell / 1024:8.0f} KiB of layers a cell"
        f"{'' if rate / args.cores >= PROMISED else '   below what is promised'}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--family", choices=tuple(RELEASES), nargs="+", default=tuple(RELEASES))
    p.add_argument(
        "--size", default="", help="of a family that has several; 1b, v2_316m and 33layer if not named"
    )
    p.add_argument("--cells", type=int, default=4096)
    p.add_argument("--genes", type=int, default=19000, help="columns of the file of cells")
    p.add_argument("--cores", type=int, default=1)
    p.add_argument("--processes", type=int, default=0, help="0: one for each core")
    args = p.parse_args()
    args.processes = args.processes or args.cores
    print(f"{args.cells} cells, {args.processes} process(es) on {args.cores} core(s)")
    with tempfile.TemporaryDirectory() as name:
        for family in args.family:
            measure(Path(name), family, args)


if __name__ == "__main__":
    main()
