"""A remote file that can be read like a local one, of which only the parts that are read are fetched."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from layerscope.errors import SourceError
from layerscope.sources.many_ranges import fetch_ranges
from layerscope.sources.parts import Parts
from layerscope.sources.transport import Retries, TransientError, Version, http_session, open_url

LOG = logging.getLogger(__name__)
BLOCK = 1 << 9
WIDEST_BLOCK = 1 << 22
EXACT = 1 << 15
WHOLE_ANSWERS = 5  # of a server behind a balancer, some may ignore ranges


class RemoteFile(io.RawIOBase):
    """A file at an address that serves ranges; every byte that came is kept, and not asked for again.

    Small reads are widened to blocks, which grow while the reads go on in sequence; large ones are exact. Its
    parts are kept in ``folder``. Raises SourceError if there is no such file, its server does not serve
    ranges or answer for too long, or the file changes meanwhile.
    """

    def __init__(self, url: str, folder: str | Path, retries: Retries | None = None) -> None:
        super().__init__()
        self.url, self._retries = url, retries or Retries()
        self._session = http_session()
        self.version = self._look()
        self.size = int(self.version.size or 0)
        self.n_bytes_received = 1
        self.parts = Parts(folder, url, self.version)
        self.n_bytes_of_earlier_runs = self.parts.n_bytes
        if self.parts.n_bytes:
            LOG.info("going on with %s bytes that had been fetched before", f"{self.parts.n_bytes:,}")
        self._position = 0
        self._block, self._next = BLOCK, -1

    def _look(self) -> Version:
        """Ask for the first byte, to learn the file's version and whether its server serves ranges."""
        whole_answers = 0
        while whole_answers < WHOLE_ANSWERS:
            try:
                with open_url(self._session, self.url, {"Range": "bytes=0-0"}) as (answer, response):
                    if answer.stop == 1 and answer.version.size is not None:
                        _ = response.content  # read, so that the connection can be used again
                        self._retries.reset()
                        return answer.version
                whole_answers += 1
            except TransientError as error:
                self._retries.wait(error)
        raise SourceError(
            f"{self.url}: this server does not serve ranges, and the whole file would have to be fetched. "
            "Fetch it yourself and set a local `path`, or use a mirror that serves ranges"
        )

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it has positions: yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; returns the bytes read, fewer only at the end of the file."""
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self.size)
        if stop <= self._position:
            return 0
        self._fetch_block(self._position, stop)
        content = self.parts.read(self._position, stop)
        view[: len(content)] = content
        self._position = stop
        return len(content)

    def close(self) -> None:
        """Close its connections; the parts stay."""
        self._session.close()
        super().close()

    def _fetch_block(self, start: int, stop: int) -> None:
        """Fetch what is missing of a range that HDF5 reads now, by this thread alone.

        HDF5 holds its lock meanwhile, for which another thread that frees one of its objects would wait.
        """
        if not self.parts.missing(start, stop):
            return
        if stop - start < EXACT:
            first = start // BLOCK * BLOCK
            self._block = min(2 * self._block, WIDEST_BLOCK) if first <= self._next <= stop else BLOCK
            start, stop = first, min(max(first + self._block, stop), self.size)
            self._next = stop
        for first, last in self.parts.missing(start, stop):
            self._keep([(first, self._range(first, last))])

    def _range(self, start: int, stop: int) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}"} | self.version.if_range
        while True:
            try:
                with open_url(self._session, self.url, headers) as (answer, response):
                    answer.demand(self.url, start, stop, self.version)
                    content: bytes = response.content
                self._retries.reset()
                return content
            except TransientError as error:
                self._retries.wait(error)

    def fetch(self, ranges: np.ndarray, name: str) -> None:
        """Fetch ranges, shape ``(n_ranges, 2)``, that are not here yet; near ones joined, many at once."""
        missing = [
            (first, min(first + WIDEST_BLOCK, last))
            for start, stop in ranges.tolist()
            for hole, last in self.parts.missing(start, stop)
            for first in range(hole, last, WIDEST_BLOCK)
        ]
        if missing:
            fetch_ranges(self.url, self.version, missing, self._retries, name, self._keep)

    def _keep(self, ranges: list[tuple[int, bytes]]) -> None:
        self.n_bytes_received += sum(len(content) for _, content in ranges)
        self.parts.add(ranges)
