"""The engine: one pass of a model over a file of cells that yields every layer.

Three things go on at once. A reader thread reads and tokenises the next window of cells; the calling thread
sorts a window by length, packs it into batches by a budget of tokens, runs the model and pools each layer as
it comes; a writer thread stores finished rows. Memory is bounded by the window and the budget, not by the
number of cells. A cell's result depends on nothing but the cell: on a CPU to the last bit, whatever the
budget, the order, the number of threads, or how often the run was interrupted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerscope.errors import ModelError
from layerscope.extraction.batches import Window, first_within, joined
from layerscope.extraction.cell_stream import CellStream
from layerscope.extraction.progress import Progress
from layerscope.extraction.shards import Finished, Sink
from layerscope.models.base import FoundationModel, TokenBatch, pack
from layerscope.models.transformer import FEWEST, STEP
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

WINDOW_CELLS = 2048
TOKEN_BUDGET = {"cpu": 8192, "cuda": 65536}
SHARD_SECONDS = 20.0
SHARD_BYTES = 16 << 20
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass
class Engine:
    """Runs a model over cells.

    Attributes
    ----------
    model
        In the precision that is wanted, on ``device``.
    stream
        The cells.
    sink
        Where finished rows go.
    pooling
        How one vector is made of a cell's tokens at the numbered layers.
    device
        Where the model runs.
    token_budget
        Tokens of a batch at most (a longer cell is a batch of its own); halved when memory does not suffice.
    """

    model: FoundationModel
    stream: CellStream
    sink: Sink
    pooling: str
    device: torch.device
    token_budget: int
    _waiting: list[Finished] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    def run(self, cells: range | None = None) -> None:
        """Run every cell that is not done yet.

        Parameters
        ----------
        cells
            Rows to run; all by default.

        Raises
        ------
        DataError
            If the cells' values are not what they should be.
        ModelError
            If a cell does not fit into memory, or the model gives values that are not finite.
        """
        done = self.sink.done(len(self.stream))
        rows = np.arange(len(self.stream)) if cells is None else np.asarray(cells)
        pending = rows[~done[rows]]
        progress = Progress(len(pending))
        with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
            stored: Future[None] | None = None
            for window in _ahead(reader, self, pending):
                for finished in self._batches(window):
                    progress.add(len(finished.rows) + len(finished.refused))
                    self._waiting.append(finished)
                    if self._is_due():
                        stored = self._store(writer, stored)
            stored = self._store(writer, stored)
            if stored is not None:
                stored.result()
        progress.finish()

    def read(self, rows: npt.NDArray[np.int64]) -> Window:
        """Read and tokenise some cells."""
        return joined((part, self.model.tokenise(block)) for part, block in self.stream.blocks(rows))

    def _batches(self, window: Window) -> Iterator[Finished]:
        """Run a window batch by batch; the refused cells come first, without layers."""
        if window.refused:
            nothing = np.zeros(0, dtype=np.int64)
            empty = {c.layer: np.zeros((0, c.width), dtype=c.dtype) for c in self.sink.columns}
            yield Finished(nothing, empty, refused=window.refused)
        order = window.by_length()
        while len(order):
            lengths = window.sentences.lengths[order]
            cells = order[: first_within(lengths, self.token_budget)]
            try:
                layers = self._forward(window, cells)
            except RuntimeError as error:
                self._halve(error, len(cells), int(lengths[0]))
                continue
            order = order[len(cells) :]
            shortened = window.rows[cells[window.sentences.shortened[cells]]]
            yield Finished(window.rows[cells], layers, shortened=shortened)

    def _forward(self, window: Window, cells: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """One forward pass: layer name to ``(len(cells), width)``."""
        with torch.inference_mode():
            fill = {"multiple": STEP, "at_least": FEWEST} if self.device.type == "cpu" else {}
            batch = pack(window.sentences, cells, device=self.device, **fill)
            pooled = dict(self._pooled(batch))
            layers = {
                column.layer: pooled[column.layer].cpu().numpy().astype(column.dtype, copy=False)
                for column in self.sink.columns
            }
        for name, matrix in layers.items():
            if not np.isfinite(matrix).all():
                cell = self.stream.cell_ids[window.rows[cells[~np.isfinite(matrix).all(axis=1)][0]]]
                raise ModelError(
                    f"layer {name} of cell {cell!r} is not finite: the values outgrow the precision. "
                    "Use --dtype float32 (or bfloat16), and --stored-dtype float32"
                )
        return layers

    def _pooled(self, batch: TokenBatch) -> Iterator[tuple[str, torch.Tensor]]:
        for layer, hidden in self.model.layers(batch):
            yield f"{layer:02d}", self.model.pool(hidden, batch, self.pooling)
            if layer == self.model.official_layer:
                yield OFFICIAL, self.model.official(hidden, batch)

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
        log.warning("out of memory: the budget is now %d tokens a batch", self.token_budget)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _is_due(self) -> bool:
        size = sum(matrix.nbytes for done in self._waiting for matrix in done.layers.values())
        return size >= SHARD_BYTES or time.monotonic() - self._since >= SHARD_SECONDS

    def _store(self, writer: ThreadPoolExecutor, before: Future[None] | None) -> Future[None] | None:
        """Hand what is finished to the writer, once it is through with what it had before."""
        if before is not None:
            before.result()
        if not self._waiting:
            return None
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        return writer.submit(lambda: self.sink.append(_merged(waiting)))


def _merged(parts: list[Finished]) -> Finished:
    """One shard of several batches."""
    return Finished(
        rows=np.concatenate([part.rows for part in parts]),
        layers={name: np.concatenate([part.layers[name] for part in parts]) for name in parts[0].layers},
        refused={row: reason for part in parts for row, reason in part.refused.items()},
        shortened=np.concatenate([part.shortened for part in parts]),
    )


def _ahead(reader: ThreadPoolExecutor, engine: Engine, pending: npt.NDArray[np.int64]) -> Iterator[Window]:
    """Yield the windows of the pending rows, the next one being read while one is used."""
    windows = [pending[start : start + WINDOW_CELLS] for start in range(0, len(pending), WINDOW_CELLS)]
    coming = reader.submit(engine.read, windows[0]) if windows else None
    for following in [*windows[1:], None]:
        if coming is None:
            return
        window = coming.result()
        coming = None if following is None else reader.submit(engine.read, following)
        yield window
