"""The engine: one pass of a model over a file of cells that yields every layer.

Three things go on at once. A reader thread reads and tokenises the next window of cells; the calling thread
sorts a window by length, packs it into batches by a budget of tokens, runs the model and pools each layer as
it comes; a writer thread stores finished cells. Memory is bounded by the window and the budget, not by the
number of cells.

Windows are fixed stretches of cells, and a resumed run cuts them into the same batches as an undisturbed one,
leaving out those that are done: the same command gives the same bytes on one machine. Other batches (another
budget, order, number of threads or shard, or a budget halved when memory ran out) give the same layers within
the rounding of float32; docs/architecture.md has the numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from layerscope.errors import ModelError
from layerscope.extraction.batches import Window, first_within, joined
from layerscope.extraction.cell_stream import CellStream
from layerscope.extraction.partial_run import Finished, PartialRun
from layerscope.models.base import FoundationModel, TokenBatch, pack
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0
WINDOW_CELLS = 2048
TOKEN_BUDGET = {"cpu": 8192, "cuda": 65536}
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "status_alloc_failed")


@dataclass
class Engine:
    """Runs a model, in the wanted precision on ``device``, over the cells that are not done."""

    model: FoundationModel
    stream: CellStream
    partial: PartialRun  # where finished cells go; it says which cells to run, and which of them are done
    pooling: str  # at the numbered layers
    device: torch.device
    token_budget: int  # of a batch (a longer cell is a batch of its own); halved when memory does not suffice

    def run(self) -> None:
        """Run every cell that is not done yet."""
        done = self.partial.done
        with (
            ThreadPoolExecutor(1, "reader") as reader,
            ThreadPoolExecutor(1, "writer") as writer,
            _progress_of(int((~done).sum())) as progress,
        ):
            writing: Future[None] | None = None
            for window in _ahead(reader, self, _windows(self.partial.cells, done)):
                self.partial.refused |= window.refused
                progress.update(len(window.refused))
                for finished in self._batches(window, done[window.rows - self.partial.cells.start]):
                    progress.update(len(finished.rows))
                    if writing is not None:
                        writing.result()
                    writing = writer.submit(self.partial.append, finished)
            if writing is not None:
                writing.result()
            self.partial.commit()

    def read(self, rows: npt.NDArray[np.int64]) -> Window:
        """Read and tokenise some cells."""
        return joined((part, self.model.tokenise(block)) for part, block in self.stream.blocks(rows))

    def _batches(self, window: Window, done: npt.NDArray[np.bool_]) -> Iterator[Finished]:
        """Run what is not done of a window batch by batch."""
        order = window.by_length()
        while len(order):
            lengths = window.sentences.lengths[order]
            cells = order[: first_within(lengths, self.token_budget)]
            if not done[cells].all():
                layers = self._forward_or_halve(window, cells)
                if layers is None:
                    torch.cuda.empty_cache()  # the error is gone, and with it the tensors of its pass
                    continue
                shortened = window.sentences.shortened[cells]
                yield Finished(rows=window.rows[cells], layers=layers, shortened=shortened)
            order = order[len(cells) :]

    def _forward_or_halve(
        self, window: Window, cells: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[Any]] | None:
        """One forward pass; None where memory did not suffice for it, and the budget is halved."""
        try:
            return self._forward(window, cells)
        except RuntimeError as error:
            self._halve(error, len(cells), int(window.sentences.lengths[cells].max()))
            return None

    def _forward(self, window: Window, cells: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """One forward pass: layer name to ``(len(cells), width)``."""
        with torch.inference_mode():
            batch = pack(window.sentences, cells, device=self.device)
            pooled = dict(self._pooled(batch))
            layers = {
                column.layer: pooled[column.layer].cpu().numpy().astype(column.dtype, copy=False)
                for column in self.partial.columns
            }
        for name, matrix in layers.items():
            finite = np.isfinite(matrix).all(axis=1)
            if not finite.all():
                cell = self.stream.cell_ids[window.rows[cells[~finite][0]]]
                raise ModelError(
                    f"layer {name} of cell {cell!r} is not finite: {self._why_not_finite(matrix)}"
                )
        return layers

    def _why_not_finite(self, layer: npt.NDArray[Any]) -> str:
        """What of weights and precision makes a layer that is not finite, and what to do."""
        precisions = {str(weight.dtype) for weight in self.model.module.stack.parameters()}
        if precisions | {f"torch.{layer.dtype}"} == {"torch.float32"}:
            return (
                f"the weights in {self.model.weights}, or constants of their configuration, are wrong: it "
                "outgrows even float32. Fetch the release again"
            )
        return (
            "the values outgrow the precision. Use --dtype float32 (or bfloat16), and --stored-dtype float32"
        )

    def _pooled(self, batch: TokenBatch) -> Iterator[tuple[str, torch.Tensor]]:
        wanted = {column.layer for column in self.partial.columns}
        numbers = {int(layer) for layer in wanted if layer != OFFICIAL}
        last = max(numbers | ({self.model.official_layer} if OFFICIAL in wanted else set()))
        for layer, hidden in self.model.layers(batch):
            if layer in numbers:
                yield f"{layer:02d}", self.model.pool(hidden, batch, self.pooling)
            if layer == self.model.official_layer and OFFICIAL in wanted:
                yield OFFICIAL, self.model.official(hidden, batch)
            if layer == last:
                return  # the blocks after it are not run

    def _halve(self, error: RuntimeError, n_cells: int, longest: int) -> None:
        """Halve the budget if memory did not suffice; anything else is raised again."""
        if not any(phrase in str(error).lower() for phrase in OUT_OF_MEMORY):
            raise error
        if n_cells == 1:
            raise ModelError(
                f"a cell of {longest} tokens does not fit into the memory of the {self.device.type}; "
                "use half precision (--dtype bfloat16), a larger device or --device cpu"
            ) from error
        self.token_budget = max(self.token_budget // 2, 1)
        log.info("out of memory: the budget is now %d tokens a batch", self.token_budget)


def _windows(cells: range, done: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of the windows in which a cell is not done."""
    for start in range(0, len(cells), WINDOW_CELLS):
        window = slice(start, min(start + WINDOW_CELLS, len(cells)))
        if not done[window].all():
            yield np.array(cells[window])


def _ahead(
    reader: ThreadPoolExecutor, engine: Engine, windows: Iterable[npt.NDArray[np.int64]]
) -> Iterator[Window]:
    """Yield windows of cells, the next one being read while one is used."""
    coming: list[Future[Window]] = []
    for rows in windows:
        coming.append(reader.submit(engine.read, rows))
        if len(coming) > 1:
            yield coming.pop(0).result()
    for window in coming:
        yield window.result()


class _LogLines:
    """A stream whose lines go to the log."""

    def write(self, text: str) -> None:
        if text.strip():
            log.info("%s", text.strip())

    def flush(self) -> None:
        """Nothing waits."""


def _progress_of(n_cells: int) -> tqdm:
    """One line of the log now and then; a bar where nobody keeps a log (a notebook, say)."""
    if not log.isEnabledFor(logging.INFO):
        return tqdm(total=n_cells, unit=" cells")
    form = "{n_fmt} of {total_fmt} cells in {elapsed}, {rate_fmt}, {remaining} left"
    options = {"file": _LogLines(), "mininterval": SECONDS_BETWEEN_LINES, "bar_format": form}
    return tqdm(total=n_cells, unit=" cells", **options)
