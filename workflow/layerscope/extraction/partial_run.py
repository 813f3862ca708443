"""Finished cells on disk while a run goes on.

``records.bin`` has room for one record per cell: its vector of every layer, one after the other. The lines of
``journal.jsonl`` say which records count; the first says whose they are. Records are flushed to the disk
before the journal names them, so after a kill at any moment what the journal names is there, and all else is
done again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import cells_of_block

log = logging.getLogger(__name__)

RECORDS, JOURNAL = "records.bin", "journal.jsonl"
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
    refused: Mapping[int, str] = field(default_factory=dict)  # row to reason; these are not in ``rows``
    n_shortened: int = 0  # how many of ``rows`` lost tokens to a length limit


class PartialRun:
    """What a run over some rows of a file has finished so far, in a folder of its own beside its output.

    ``identity`` is whatever decides the result: what a run of another identity left is thrown away. One
    process at a time may write to a folder; for another it raises ConfigError.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], columns: Sequence[Column], cells: range
    ) -> None:
        self.folder, self.columns, self.cells = folder, list(columns), cells
        self.done = np.zeros(len(cells), dtype=bool)
        self.refused: dict[int, str] = {}  # row to reason
        self.n_shortened = 0
        self._record = np.dtype([(column.layer, column.dtype, (column.width,)) for column in columns])
        self._uncommitted: list[Finished] = []
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = (folder / JOURNAL).open("a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._journal.close()
            raise ConfigError(
                f"{folder}: another process is extracting to the same output; wait until it ends, or end it"
            ) from error
        head = {"run": json.dumps(identity, sort_keys=True)}
        if self._take_up(head):
            self._records = (folder / RECORDS).open("r+b")
        else:
            self._journal.truncate(0)
            self._records = (folder / RECORDS).open("w+b")
            self._records.truncate(self._size)
            self._write_line(head)
        self._last_commit = time.monotonic()

    @property
    def _size(self) -> int:
        """Bytes of the file of records."""
        return len(self.cells) * self._record.itemsize

    def _take_up(self, head: Mapping[str, Any]) -> bool:
        """Count what an interrupted run has finished; False where nothing of it can be used."""
        records, journal = self.folder / RECORDS, self.folder / JOURNAL
        there = records.is_file()
        try:
            lines = self._whole_lines()
            if lines and lines[0] != head:
                log.info("what an interrupted run with other inputs or settings left is thrown away")
                return False
            if not lines and not there:
                return False
            if not lines or not there or records.stat().st_size != self._size:
                lost = records if lines else journal
                log.warning("%s: lost, or a part of it: the interrupted run begins anew", lost)
                return False
            for line in lines[1:]:
                self._count(line)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("%s: damaged (%s): the interrupted run begins anew", journal, error)
            self.done[:], self.n_shortened = False, 0
            self.refused.clear()
            return False
        if self.done.any():
            log.info("taking up an interrupted run: %d cells are done", self.done.sum())
        return True

    def __enter__(self) -> PartialRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._records.close()
        self._journal.close()

    def append(self, finished: Finished) -> None:
        """Take finished cells, in whatever order they come; they count from the next commit on."""
        records = np.empty(len(finished.rows), self._record)
        for column in self.columns:
            records[column.layer] = finished.layers[column.layer]
        content = records.view(np.uint8).reshape(len(records), self._record.itemsize)
        for row, record in zip(finished.rows, content, strict=True):
            self._records.seek((int(row) - self.cells.start) * self._record.itemsize)
            self._records.write(record.data)
        self._uncommitted.append(finished)
        if time.monotonic() - self._last_commit >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Flush what was taken to the disk, then name it in the journal."""
        self._records.flush()
        os.fsync(self._records.fileno())
        for finished in self._uncommitted:
            line = {
                "rows": finished.rows.tolist(),
                "refused": {str(row): reason for row, reason in finished.refused.items()},
                "shortened": finished.n_shortened,
            }
            self._write_line(line)
            self._count(line)
        self._uncommitted.clear()
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
        """Delete the folder, the journal first: without it nothing else counts."""
        (self.folder / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _whole_lines(self) -> list[dict[str, Any]]:
        """The journal's lines up to the first that a kill cut off, which is taken away."""
        self._journal.seek(0)
        lines = [line for line in self._journal.read().splitlines(keepends=True) if line.endswith(b"\n")]
        self._journal.truncate(sum(map(len, lines)))
        return [json.loads(line) for line in lines]

    def _count(self, line: Mapping[str, Any]) -> None:
        refused = {int(row): reason for row, reason in line["refused"].items()}
        self.done[np.array([*line["rows"], *refused], dtype=np.int64) - self.cells.start] = True
        self.refused.update(refused)
        self.n_shortened += line["shortened"]

    def _write_line(self, line: Mapping[str, Any]) -> None:
        self._journal.write(json.dumps(line, sort_keys=True).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())
