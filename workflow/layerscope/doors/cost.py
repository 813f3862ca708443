"""What running models over cells will cost, from their operations and the rate of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from layerscope.models.network_size import NetworkSize

EFFICIENCY = {"cpu": 0.8, "cuda": 0.3}
"""Share of the rate of plain matrix products that extraction reaches (docs/performance.md)."""
SIDE = {"cpu": 1024, "cuda": 4096}
MEASURED_SECONDS = 0.3
TITLE = "What running models over cells will take, about (baselines, scores and figures come on top):"


@dataclass(frozen=True)
class Machine:
    """The rate at which a machine multiplies matrices; 0 where it lacks the device."""

    device: str
    threads: int
    operations_per_second: float

    def line(self) -> str:
        """In words."""
        if not self.operations_per_second:
            return "this machine has no GPU to measure: times are not known here"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        where = "GPU" if self.device == "cuda" else f"CPU, {threads}"
        return f"this machine: {where}, {self.operations_per_second / 1e9:,.0f} GFLOP/s (measured just now)"


@dataclass(frozen=True, kw_only=True)
class ModelRun:
    """A model's run over the cells of a condition."""

    name: str  # of the condition and the model
    network: NetworkSize | None = None  # None where its sizes are not stated
    layers: int = 0
    max_length: int | None = None  # in tokens, if a limit is set
    n_cells: int = 0
    genes_detected: Sequence[int] = field(default_factory=list)  # by each of a sample of the cells
    at_most: bool = False  # whether filters may leave fewer cells
    bytes_per_number: int = 4  # of the stored layers
    download: int | None = 0  # bytes; None where that is not stated
    unknown: str = ""  # why nothing can be said, if nothing can

    @property
    def operations(self) -> float:
        """Of all cells together."""
        if self.network is None or not self.genes_detected:
            return 0.0
        tokens = [self.network.tokens_of(n_genes, self.max_length) for n_genes in self.genes_detected]
        per_cell = [self.network.operations(self.layers, n_tokens) for n_tokens in tokens]
        return self.n_cells * sum(per_cell) / len(per_cell)

    @property
    def disk(self) -> int:
        """Bytes of the layers."""
        numbers = self.network.numbers_of_a_cell(self.layers) if self.network else 0
        return self.n_cells * numbers * self.bytes_per_number

    def line(self, machine: Machine) -> str:
        """In words."""
        if self.unknown or self.network is None or not self.genes_detected:
            return f"{self.name}: not estimated: {self.unknown or 'the sizes of its network are not stated'}"
        cells = f"{'at most ' if self.at_most else ''}{self.n_cells:,} cells"
        tokens = [self.network.tokens_of(n_genes, self.max_length) for n_genes in self.genes_detected]
        download = "; download not stated" if self.download is None else ""
        download = f"; {in_bytes(self.download)} to download" if self.download else download
        return (
            f"{self.name}: {cells} of {sum(tokens) / len(tokens):,.0f} tokens, "
            f"{how_long(self.operations, machine)}; {in_bytes(self.disk)} of layers{download}"
        )


def measured(device: str = "auto") -> Machine:
    """Measure how fast this machine multiplies matrices, for a fraction of a second."""
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if has_gpu else "cpu"
    if device == "cuda" and not has_gpu:
        return Machine(device, torch.get_num_threads(), 0.0)
    side = SIDE[device]
    left, right = torch.randn(side, side, device=device), torch.randn(side, 2 * side, device=device)
    best, begin = 0.0, time.perf_counter()
    while time.perf_counter() - begin < MEASURED_SECONDS or not best:
        start = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 4.0 * side**3 / (time.perf_counter() - start))
    return Machine(device, torch.get_num_threads(), best)


def cost_lines(runs: Iterable[ModelRun], machine: Machine) -> list[str]:
    """A line for the machine and for each run, and the sum where there are several."""
    runs = list(runs)
    lines = [TITLE, machine.line(), *(run.line(machine) for run in runs)]
    if len(runs) > 1:
        operations, disk = sum(run.operations for run in runs), sum(run.disk for run in runs)
        lines.append(f"together: {how_long(operations, machine)}; {in_bytes(disk)} of layers")
    return [lines[0], *(f"  {line}" for line in lines[1:])]


def how_long(operations: float, machine: Machine) -> str:
    """The time of so many operations in words, or the operations where the rate is not known."""
    if not machine.operations_per_second:
        return f"{operations / 1e12:,.0f} TFLOP"
    return hours(operations / (machine.operations_per_second * EFFICIENCY[machine.device]), machine)


def hours(elapsed: float, machine: Machine) -> str:
    """A time in the unit that suits it, with the hours of all threads of a CPU."""
    if elapsed < 60:
        return f"{max(elapsed, 1):.0f} s"
    clock = f"{elapsed / 60:.0f} min" if elapsed < 3600 else f"{elapsed / 3600:,.1f} h"
    kind, of_all = ("GPU", elapsed) if machine.device == "cuda" else ("CPU", elapsed * machine.threads)
    return f"{clock} ({of_all / 3600:,.1f} {kind}-hours)"


def in_bytes(number: float) -> str:
    """A number of bytes in the unit that suits it."""
    return f"{number / 1e6:,.0f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"
