"""Finished rows on disk while a run goes on: shards, and the journal that says which of them count.

A shard is a plain binary file: row numbers (int64), then the rows of each layer one layer after the other. It
is written under a scratch name, flushed to the disk, renamed, and only then named in the journal with its
checksum; after a kill at any moment the journal's shards are whole and all else is done again. The rows that
a shard holds depend on when it was written, the embeddings file assembled from them does not.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from layerscope.errors import ConfigError

log = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """A layer as it is stored: its name, width and precision."""

    layer: str
    width: int
    dtype: np.dtype[Any]


@dataclass
class Finished:
    """Rows that are done.

    Attributes
    ----------
    rows
        Their numbers in the file of cells.
    layers
        Layer name to their representations; each ``(len(rows), width)``.
    refused
        Row to reason, of rows that are done because they cannot be: they are in no layer.
    shortened
        Those of ``rows`` that lost tokens to a length limit.
    """

    rows: Rows
    layers: Mapping[str, npt.NDArray[Any]]
    refused: dict[int, str] = field(default_factory=dict)
    shortened: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class Sink(Protocol):
    """Where an engine leaves finished rows.

    Attributes
    ----------
    columns
        The layers that it takes.
    """

    columns: list[Column]

    def done(self, n_cells: int) -> npt.NDArray[np.bool_]:
        """Which of ``n_cells`` rows it has from an earlier run."""
        ...

    def append(self, finished: Finished) -> None:
        """Take finished rows, in whatever order they come."""
        ...


class Shard(NamedTuple):
    """A file of finished rows: how many, and between which."""

    path: Path
    n_rows: int
    first: int
    last: int


class Shards:
    """The shards of one run in a folder beside its output.

    Parameters
    ----------
    folder
        Theirs alone.
    run
        Whatever decides the result, as JSON: shards of a run that differs in it are thrown away.
    columns
        The layers.

    Raises
    ------
    ConfigError
        If another process is writing to the folder.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any], columns: Sequence[Column]) -> None:
        self.folder, self.columns = folder, list(columns)
        self.refused: dict[int, str] = {}
        self.n_shortened = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = (folder / JOURNAL).open("a+b")
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._journal.close()
            raise ConfigError(
                f"{folder}: another process is extracting to the same output; wait until it ends, or end it"
            ) from error
        head = json.dumps(run, sort_keys=True)
        self._shards: list[Shard] = []
        lines = self._whole_lines()
        if lines and lines[0] == {"run": head}:
            self._take_up(lines[1:])
        else:
            self._start_anew(head, bool(lines))

    def __enter__(self) -> Shards:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def done(self, n_cells: int) -> npt.NDArray[np.bool_]:
        """Which of ``n_cells`` rows are done."""
        found = np.zeros(n_cells, dtype=bool)
        for shard in self._shards:
            found[_rows(shard)] = True
        found[list(self.refused)] = True
        return found

    def append(self, finished: Finished) -> None:
        """Write finished rows as a shard and name it in the journal."""
        content = [np.ascontiguousarray(finished.rows, dtype=np.int64).data]
        for column in self.columns:
            content.append(np.ascontiguousarray(finished.layers[column.layer], dtype=column.dtype).data)
        path = self.folder / f"{len(self._shards):06d}.bin"
        checksum = 0
        with path.with_suffix(".partial").open("wb") as stream:
            for part in content:
                checksum = zlib.crc32(part, checksum)
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        path.with_suffix(".partial").replace(path)
        self._write(
            {
                "shard": path.name,
                "rows": len(finished.rows),
                "crc32": checksum,
                "refused": {str(row): reason for row, reason in finished.refused.items()},
                "shortened": len(finished.shortened),
            }
        )
        self._count(path, finished.rows, finished.refused, len(finished.shortened))

    def windows(self, cells: range, size: int) -> Iterator[tuple[int, dict[str, npt.NDArray[Any]]]]:
        """Put rows back in order: the first row of each window and its layers, NaN where refused."""
        for start in cells[::size]:
            stop = min(start + size, cells.stop)
            layers = {c.layer: np.full((stop - start, c.width), np.nan, dtype=c.dtype) for c in self.columns}
            for shard in self._shards:
                if shard.first >= stop or shard.last < start:
                    continue
                rows = _rows(shard)
                inside = (rows >= start) & (rows < stop)
                for name, matrix in self._layers(shard):
                    layers[name][rows[inside] - start] = matrix[inside]
            yield start, layers

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder)

    def _layers(self, shard: Shard) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Yield a shard's layers, one in memory at a time."""
        with shard.path.open("rb") as stream:
            stream.seek(8 * shard.n_rows)
            for column in self.columns:
                flat = np.fromfile(stream, column.dtype, shard.n_rows * column.width)
                yield column.layer, flat.reshape(shard.n_rows, column.width)

    def _whole_lines(self) -> list[dict[str, Any]]:
        """The journal's lines up to the first that a kill cut off, which is taken away."""
        self._journal.seek(0)
        lines: list[dict[str, Any]] = []
        good = 0
        for line in self._journal.read().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            lines.append(json.loads(line))
            good += len(line)
        self._journal.truncate(good)
        return lines

    def _take_up(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            path = self.folder / line["shard"]
            content = path.read_bytes()
            if zlib.crc32(content) != line["crc32"]:
                raise ConfigError(f"{path}: the shard is damaged; delete {self.folder} and run again")
            rows = np.frombuffer(content[: 8 * line["rows"]], dtype=np.int64)
            refused = {int(row): reason for row, reason in line["refused"].items()}
            self._count(path, rows, refused, line["shortened"])
        if lines:
            n_done = sum(shard.n_rows for shard in self._shards) + len(self.refused)
            log.info("taking up an interrupted run: %d cells are done", n_done)

    def _start_anew(self, head: str, differs: bool) -> None:
        if differs:
            log.info("an interrupted run with other inputs or settings is thrown away")
        for path in self.folder.iterdir():
            if path.name != JOURNAL:
                path.unlink()
        self._journal.truncate(0)
        self._write({"run": head})

    def _count(self, path: Path, rows: Rows, refused: Mapping[int, str], n_shortened: int) -> None:
        first, last = (int(rows.min()), int(rows.max())) if len(rows) else (0, -1)
        self._shards.append(Shard(path, len(rows), first, last))
        self.refused.update(refused)
        self.n_shortened += n_shortened

    def _write(self, line: Mapping[str, Any]) -> None:
        self._journal.write(json.dumps(line, sort_keys=True).encode() + b"\n")
        self._journal.flush()
        os.fsync(self._journal.fileno())


def _rows(shard: Shard) -> Rows:
    return np.fromfile(shard.path, np.int64, shard.n_rows)
