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
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from layerscope.errors import ModelError
from layerscope.extraction.batches import Window, first_within, joined
from layerscope.extraction.buffer import Buffer
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
    _since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # one is filled while the other is stored
        self._filling, self._stored = (Buffer(self.sink.columns, SHARD_BYTES) for _ in range(2))

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
        cells = range(len(self.stream)) if cells is None else cells
        progress = Progress(len(cells) - int(done[cells.start : cells.stop].sum()))
        with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
            stored: Future[None] | None = None
            for window in _ahead(reader, self, _pending(cells, done)):
                for finished in self._batches(window):
                    progress.add(len(finished.rows) + len(finished.refused))
                    rest: Finished | None = finished
                    while rest is not None:
                        rest = self._filling.take(rest)
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
        log.info("out of memory: the budget is now %d tokens a batch", self.token_budget)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _is_due(self) -> bool:
        return self._filling.is_full or time.monotonic() - self._since >= SHARD_SECONDS

    def _store(self, writer: ThreadPoolExecutor, before: Future[None] | None) -> Future[None] | None:
        """Hand what is finished to the writer, once it is through with what it had before."""
        if before is not None:
            before.result()
        self._filling, self._stored, self._since = self._stored, self._filling, time.monotonic()
        self._filling.clear()
        content = self._stored.content()
        return None if content is None else writer.submit(self.sink.append, content)


def _pending(cells: range, done: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows that are not done, a window at a time."""
    for start in cells[::WINDOW_CELLS]:
        rows = np.arange(start, min(start + WINDOW_CELLS, cells.stop))
        rows = rows[~done[rows]]
        if len(rows):
            yield rows


def _ahead(
    reader: ThreadPoolExecutor, engine: Engine, windows: Iterable[npt.NDArray[np.int64]]
) -> Iterator[Window]:
    """Yield windows of cells, the next one being read while one is used."""
    coming: Future[Window] | None = None
    for rows in windows:
        following = reader.submit(engine.read, rows)
        if coming is not None:
            yield coming.result()
        coming = following
    if coming is not None:
        yield coming.result()
