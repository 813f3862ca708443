"""Parts of a remote file kept on disk: appended, journaled, checked, and found again after a kill.

Two files: the bytes, one part after the other, and a journal with one line per part, which is written after
the part's bytes. A part whose line is torn, or whose bytes do not have the line's checksum, is not used.
"""

from __future__ import annotations

import bisect
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from layerscope.sources.transport import Version

Line = tuple[int, int, int, int]


class RangeStore:
    """Parts of one version of one remote file.

    Parameters
    ----------
    path
        Where the bytes are kept; the journal lies beside it. Both are made anew if they belong to another
        file or to another version of it.
    url, version
        Of the remote file.
    """

    def __init__(self, path: str | Path, url: str, version: Version) -> None:
        self.path = Path(path)
        self._journal_path = self.path.with_name(f"{self.path.name}.journal")
        self._starts: list[int] = []
        self._parts: list[Line] = []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.resumed = 0
        head: dict[str, object] = {
            "url": url,
            "size": version.size,
            "etag": version.etag,
            "modified": version.modified,
        }
        lines = self._read_journal(head)
        self._bytes = self.path.open("r+b" if lines is not None else "w+b", buffering=0)
        self._end = self._check(lines or [])
        self._bytes.truncate(self._end)
        self._write_journal(head)

    def __enter__(self) -> RangeStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; what is in them stays for another time."""
        self._journal.close()
        self._bytes.close()

    def remove(self) -> None:
        """Close and delete the files."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._journal_path.unlink(missing_ok=True)

    @property
    def stored(self) -> int:
        """Bytes of the remote file that are here."""
        return sum(stop - start for start, stop, _, _ in self._parts)

    def add(self, start: int, content: bytes) -> None:
        """Keep the bytes from ``start`` on; what is here already is not stored again."""
        for first, last in self.missing(start, start + len(content)):
            part = content[first - start : last - start]
            self._append(part)
            line = (first, last, self._end, zlib.crc32(part))
            self._journal.write(_text(line))
            self._insert(line)
            self._end += len(part)

    def _append(self, part: bytes) -> None:
        written = 0
        while written < len(part):
            written += os.pwrite(self._bytes.fileno(), part[written:], self._end + written)

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Parts of a range that are not here, ascending."""
        holes = []
        at = start
        for first, last, _, _ in self._overlapping(start, stop):
            if first > at:
                holes.append((at, first))
            at = max(at, last)
        if at < stop:
            holes.append((at, stop))
        return holes

    def _overlapping(self, start: int, stop: int) -> Iterator[Line]:
        position = max(bisect.bisect_right(self._starts, start) - 1, 0)
        while position < len(self._parts) and self._parts[position][0] < stop:
            if self._parts[position][1] > start:
                yield self._parts[position]
            position += 1

    def read(self, start: int, stop: int) -> bytes:
        """Read a range that is here.

        Raises
        ------
        KeyError
            If part of it is not.
        """
        pieces, at = [], start
        for first, last, offset, _ in self._overlapping(start, stop):
            if first > at:
                break
            until = min(last, stop)
            pieces.append(os.pread(self._bytes.fileno(), until - at, offset + at - first))
            at = until
        if at < stop:
            raise KeyError((at, stop))
        return b"".join(pieces)

    def forget(self, ranges: np.ndarray) -> None:
        """Drop every part that overlaps one of these ranges, shape ``(n_ranges, 2)``."""
        dropped = {part for start, stop in ranges.tolist() for part in self._overlapping(start, stop)}
        self._parts = [part for part in self._parts if part not in dropped]
        self._starts = [part[0] for part in self._parts]
        for first, last, _, _ in sorted(dropped):
            self._journal.write(_text((first, last, -1, 0)))

    def _insert(self, line: Line) -> None:
        position = bisect.bisect_left(self._starts, line[0])
        self._starts.insert(position, line[0])
        self._parts.insert(position, line)

    def _read_journal(self, head: dict[str, object]) -> list[Line] | None:
        """Lines of the journal; ``None`` if there is none of this version of the file."""
        if not self._journal_path.is_file() or not self.path.is_file():
            return None
        lines: list[Line] = []
        with self._journal_path.open("rb") as stream:
            for number, text in enumerate(stream):
                try:
                    found = json.loads(text)
                except ValueError:
                    break
                if number == 0:
                    if found != head:
                        return None
                elif not text.endswith(b"\n") or len(found) != 4:
                    break
                else:
                    lines.append((int(found[0]), int(found[1]), int(found[2]), int(found[3])))
        return lines

    def _check(self, lines: list[Line]) -> int:
        """Take up the parts whose bytes are right; returns where the last of them ends."""
        kept: dict[tuple[int, int], Line] = {}
        for line in lines:
            first, last, offset, _ = line
            if offset < 0:
                kept.pop((first, last), None)
            else:
                kept[first, last] = line
        end = 0
        for line in kept.values():
            first, last, offset, checksum = line
            content = os.pread(self._bytes.fileno(), last - first, offset)
            if len(content) == last - first and zlib.crc32(content) == checksum:
                self._insert(line)
                end = max(end, offset + len(content))
        self.resumed = self.stored
        return end

    def _write_journal(self, head: dict[str, object]) -> None:
        scratch = self._journal_path.with_name(f"{self._journal_path.name}.partial")
        with scratch.open("wb") as stream:
            stream.write(_text(head))
            stream.writelines(_text(part) for part in self._parts)
        scratch.replace(self._journal_path)
        self._journal = self._journal_path.open("ab", buffering=0)


def _text(line: object) -> bytes:
    return json.dumps(line).encode() + b"\n"
