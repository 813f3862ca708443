"""The engine on a GPU: a budget that is halved when memory runs out, and two processes that share the GPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import golden_states  # noqa: F401 (it puts the examples of the tests on the path)
import numpy as np
import torch
from cell_files import write_h5ad
from gpu_device import Check, at_least, at_most, clear_memory, on_gpu, peak, reset_peak
from model_examples import all_layers, counts, write_scfoundation

from layerscope.extraction.engine import Engine
from layerscope.extraction.job import Extraction, extract
from layerscope.extraction.merge import merge

ROOT = Path(__file__).resolve().parents[1]
ROUNDING = 1e-5  # of a layer's root mean square; docs/architecture.md


@dataclass(frozen=True)
class Study:
    """A small release of scFoundation and cells for it, and the layers of an undisturbed run."""

    folder: Path
    device: torch.device

    @property
    def weights(self) -> Path:
        return self.folder / "weights"

    @property
    def cells(self) -> Path:
        return self.folder / "cells.h5ad"

    def extract(self, name: str) -> Path:
        """Run the engine in this process."""
        output = self.folder / name
        extract(self.weights, self.cells, output, Extraction(family="scfoundation", device=self.device.type))
        return output


def study(folder: Path, device: torch.device, small: bool) -> Study:
    """Write the release and the cells."""
    n_genes, hidden, n_cells = (40, 16, 30) if small else (1000, 256, 3000)
    write_scfoundation(folder / "weights", n_genes=n_genes, hidden=hidden, layers=2 if small else 6)
    genes = [f"G{i}" for i in range(n_genes)]
    write_h5ad(folder / "cells.h5ad", counts(n_cells, n_genes), genes)
    return Study(folder, device)


def halving(cells: Study) -> list[Check]:
    """A budget too large for the memory is halved until batches fit, and the layers are the same."""
    clear_memory()
    reset_peak(cells.device)
    expected = cells.extract("whole.h5ad")
    with too_little_memory(cells.device, peak(cells.device)), counted_halvings() as budgets:
        halved = cells.extract("halved.h5ad")
    return [
        at_least("times that the budget was halved as memory ran out", len(budgets), 1),
        at_most("layers after halving: difference over a layer's scale", apart(expected, halved), ROUNDING),
    ]


def shards(cells: Study) -> Check:
    """Two processes at once on one device, each with half of the cells, give what one process gives."""
    outputs = [cells.folder / f"shard{number}.h5ad" for number in (1, 2)]
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, ROOT / "scripts" / "extract_layers.py", "--family", "scfoundation"),
                *("--weights", cells.weights, "--cells", cells.cells, "--output", output),
                *("--device", cells.device.type, "--shard", str(number), "2"),
            ]
        )
        for number, output in enumerate(outputs, start=1)
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        return Check("two processes on one device", float("nan"), "both end well", False)
    merge(outputs, cells.folder / "merged.h5ad")
    difference = apart(cells.folder / "whole.h5ad", cells.folder / "merged.h5ad")
    return at_most("two processes on one device: difference over a layer's scale", difference, ROUNDING)


@contextmanager
def too_little_memory(device: torch.device, needed: int) -> Iterator[None]:
    """Less memory than the largest batch needs: on a GPU truly, on a CPU by an error of the same kind."""
    if on_gpu(device):
        clear_memory()
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(0.6 * needed / total)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    whole = Engine._forward

    def forward(engine: Engine, window, cells):  # type: ignore[no-untyped-def]
        if window.sentences.lengths[cells].sum() > 100:
            raise torch.OutOfMemoryError("out of memory")
        return whole(engine, window, cells)

    Engine._forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        Engine._forward = whole  # type: ignore[method-assign]


@contextmanager
def counted_halvings() -> Iterator[list[int]]:
    """The budgets that the engine came to when memory ran out."""
    halve, budgets = Engine._halve, list[int]()

    def counted(engine: Engine, *args) -> None:  # type: ignore[no-untyped-def]
        halve(engine, *args)
        budgets.append(engine.token_budget)

    Engine._halve = counted  # type: ignore[method-assign]
    try:
        yield budgets
    finally:
        Engine._halve = halve  # type: ignore[method-assign]


def apart(one: Path, other: Path) -> float:
    """Largest difference of two embeddings files, over the scale of the layer."""
    layers, others = all_layers(one), all_layers(other)
    assert layers.keys() == others.keys()
    worst = 0.0
    for layer, matrix in layers.items():
        assert np.array_equal(np.isnan(matrix), np.isnan(others[layer]))
        scale = np.sqrt(np.nanmean(matrix.astype(float) ** 2))
        worst = max(worst, float(np.nanmax(np.abs(others[layer] - matrix)) / scale))
    return worst
