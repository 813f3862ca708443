"""Finished cells on disk while a run goes on.

``records.bin`` has room for one record per cell: its vector of every layer, one after the other. A byte per
cell in ``done.bin`` says whether its record counts. Records are flushed to the disk before the bytes that
count them, so after a kill at any moment what counts is there, and all else is done again; so are the cells
that a model refuses, which cost no forward pass. ``run.json`` says whose all this is.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import cells_of_block
from layerscope.files import whole

log = logging.getLogger(__name__)

RUN, RECORDS, DONE = "run.json", "records.bin", "done.bin"
FINISHED, SHORTENED = 1, 2  # what a cell's byte says besides 0: its record counts, and it lost tokens
COMMIT_SECONDS = 20.0


@dataclass(frozen=True)
class Column:
    """A layer as it is stored: its name, width and precision."""

    layer: str
    width: int
    dtype: np.dtype[Any]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """Cells that are done."""

    rows: npt.NDArray[np.int64]  # in the file of cells
    layers: Mapping[str, npt.NDArray[Any]]  # each (len(rows), width)
    shortened: npt.NDArray[np.bool_]  # whether each of ``rows`` lost tokens to a length limit


class PartialRun:
    """What a run over some rows of a file has finished so far, in a folder of its own beside its output.

    ``identity`` is whatever decides the result: what a run of another identity left is thrown away. One
    process at a time may write to a folder; for another it raises ConfigError.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], columns: Sequence[Column], cells: range
    ) -> None:
        self.folder, self.columns, self.cells = folder, list(columns), cells
        self.refused: dict[int, str] = {}  # row to reason
        self._record = np.dtype([(column.layer, column.dtype, (column.width,)) for column in columns])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DONE).touch()
        self._done = (folder / DONE).open("r+b")
        try:
            fcntl.flock(self._done, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._done.close()
            raise ConfigError(
                f"{folder}: another process is extracting to the same output; wait until it ends, or end it"
            ) from error
        run = json.dumps(identity, sort_keys=True)
        taken_up = self._taken_up(run)
        self._marks = np.zeros(len(cells), dtype=np.uint8) if taken_up is None else taken_up
        if taken_up is None:
            (folder / RUN).unlink(missing_ok=True)
            (folder / RECORDS).touch()
            os.truncate(folder / RECORDS, 0)
            os.truncate(folder / RECORDS, self._size)
        self._records = (folder / RECORDS).open("r+b")
        self.commit()
        if taken_up is None:
            with whole(folder / RUN) as scratch:
                scratch.write_text(run, encoding="utf-8")

    @property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which of the cells are done."""
        return self._marks > 0

    @property
    def n_shortened(self) -> int:
        """How many of those that are done lost tokens to a length limit."""
        return int((self._marks == SHORTENED).sum())

    @property
    def _size(self) -> int:
        """Bytes of the file of records."""
        return len(self.cells) * self._record.itemsize

    def _taken_up(self, run: str) -> npt.NDArray[np.uint8] | None:
        """What an interrupted run has finished; None where nothing of it can be used."""
        before, records = self.folder / RUN, self.folder / RECORDS
        marks = np.frombuffer(self._done.read(), dtype=np.uint8).copy()
        if not (before.is_file() or records.is_file() or len(marks)):
            return None
        if before.is_file() and before.read_text(encoding="utf-8", errors="replace") != run:
            log.info("%s: of a run with other inputs or settings, which is thrown away", before)
            return None
        sound = {
            before: before.is_file(),
            records: records.is_file() and records.stat().st_size == self._size,
            self.folder / DONE: len(marks) == len(self.cells) and (marks <= SHORTENED).all(),
        }
        for path, is_sound in sound.items():
            if not is_sound:
                log.warning("%s: lost, or damaged: the interrupted run begins anew", path)
                return None
        if marks.any():
            log.info("taking up an interrupted run: %d cells are done", (marks > 0).sum())
        return marks

    def __enter__(self) -> PartialRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.close()
        self._done.close()

    def append(self, finished: Finished) -> None:
        """Take finished cells, in whatever order they come; they count from the next commit on."""
        records = np.empty(len(finished.rows), self._record)
        for column in self.columns:
            records[column.layer] = finished.layers[column.layer]
        content = records.view(np.uint8).reshape(len(records), self._record.itemsize)
        places = finished.rows - self.cells.start
        for place, record in zip(places.tolist(), content, strict=True):
            self._records.seek(place * self._record.itemsize)
            self._records.write(record.data)
        self._marks[places] = np.where(finished.shortened, SHORTENED, FINISHED)
        if time.monotonic() - self._last_commit >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Flush what was taken to the disk, then count it."""
        self._records.flush()
        os.fsync(self._records.fileno())
        self._done.seek(0)
        self._done.write(self._marks.tobytes())
        self._done.truncate()
        self._done.flush()
        os.fsync(self._done.fileno())
        self._last_commit = time.monotonic()

    def blocks(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Yield the layers of all cells in order, some rows at a time; NaN where refused."""
        size = cells_of_block(self._record.itemsize)
        refused = np.array(sorted(self.refused), dtype=np.int64) - self.cells.start
        self._records.seek(0)
        for start in range(0, len(self.cells), size):
            content = self._records.read(size * self._record.itemsize)
            records = np.frombuffer(content, self._record)
            inside = refused[(refused >= start) & (refused < start + len(records))] - start
            layers = {column.layer: records[column.layer].copy() for column in self.columns}
            for matrix in layers.values():
                matrix[inside] = np.nan
            yield layers

    def remove(self) -> None:
        """Delete the folder, what says whose it is first: without it nothing else counts."""
        (self.folder / RUN).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
