"""Byte ranges of a remote file that have been fetched, kept in a folder where a re-run finds them.

A part is one file: a line of JSON with its ranges ``[[start, stop], ...]``, then their bytes. It gets its
name when it is whole. ``version.json`` names the remote file and its version; parts of another are deleted.
"""

from __future__ import annotations

import bisect
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from layerscope.sources.transport import Version

Place = tuple[int, int, Path, int]  # first byte, byte after the last, file, offset in it


class Parts:
    """Ranges of one version of a remote file, none overlapping another."""

    def __init__(self, folder: str | Path, url: str, version: Version) -> None:
        self.folder = Path(folder)
        self._starts: list[int] = []
        self._places: list[Place] = []
        self._n_files = 0
        self._identify({"url": url, **asdict(version)})
        for path in sorted(self.folder.glob("*.part")):
            self._register(path)

    def _identify(self, identity: dict[str, object]) -> None:
        named = self.folder / "version.json"
        text = json.dumps(identity)
        if not named.is_file() or named.read_text(encoding="utf-8") != text:
            self.remove()
            self.folder.mkdir(parents=True)
            named.write_text(text, encoding="utf-8")

    def _register(self, path: Path) -> None:
        """Take up the ranges of a part; a part that lost its end is deleted."""
        with path.open("rb") as stream:
            header = stream.readline()
        try:
            ranges = json.loads(header)
        except ValueError:
            ranges = []
        offset = len(header)
        if not ranges or path.stat().st_size != offset + sum(stop - start for start, stop in ranges):
            path.unlink()
            return
        for start, stop in ranges:
            position = bisect.bisect_left(self._starts, start)
            self._starts.insert(position, start)
            self._places.insert(position, (start, stop, path, offset))
            offset += stop - start
        self._n_files = int(path.stem) + 1

    @property
    def n_bytes(self) -> int:
        """Bytes of the remote file that are here."""
        return sum(stop - start for start, stop, _, _ in self._places)

    def add(self, ranges: Sequence[tuple[int, bytes]]) -> None:
        """Keep ranges, given as their first byte and their content, as one part; less what is here."""
        pieces = [
            (first, content[first - start : last - start])
            for start, content in ranges
            for first, last in self.missing(start, start + len(content))
        ]
        if not pieces:
            return
        header = json.dumps([[start, start + len(content)] for start, content in pieces]).encode() + b"\n"
        path, scratch = self.folder / f"{self._n_files:08d}.part", self.folder / "scratch"
        scratch.write_bytes(header + b"".join(content for _, content in pieces))
        scratch.rename(path)
        self._register(path)

    def missing(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Parts of a range that are not here, ascending."""
        holes = []
        for first, last, _, _ in self._overlapping(start, stop):
            if first > start:
                holes.append((start, first))
            start = last
        return [*holes, (start, stop)] if start < stop else holes

    def read(self, start: int, stop: int) -> bytes:
        """Read a range that is here; :class:`KeyError` if a byte of it is missing."""
        pieces = []
        for first, last, path, offset in self._overlapping(start, stop):
            if first > start:
                break
            with path.open("rb") as stream:
                stream.seek(offset + start - first)
                pieces.append(stream.read(min(last, stop) - start))
            start = min(last, stop)
        if start < stop:
            raise KeyError((start, stop))
        return b"".join(pieces)

    def _overlapping(self, start: int, stop: int) -> Iterator[Place]:
        position = max(bisect.bisect_right(self._starts, start) - 1, 0)
        while position < len(self._places) and self._starts[position] < stop:
            if self._places[position][1] > start:
                yield self._places[position]
            position += 1

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
