"""A remote file that can be read like a local one, of which only the parts that are read are fetched."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from layerscope.errors import SourceError
from layerscope.sources.progress import Progress
from layerscope.sources.range_store import RangeStore
from layerscope.sources.ranges import LARGEST, coalesce
from layerscope.sources.transport import ChangedError, Patience, TransientError, Transport, Version

LOG = logging.getLogger(__name__)
BLOCK = 1 << 9
ASKED_TWICE = 1 << 12
MOST_ANSWERS = 6
MOST_WHOLE_ANSWERS = 5  # one server behind a balancer may ignore ranges
WIDEST_BLOCK = 1 << 22
EXACT = 1 << 15
CONNECTIONS = 32


class RemoteFile(io.RawIOBase):
    """A file at an address that serves ranges.

    Small reads are widened to blocks, which grow while the reads go on in sequence; large ones are exact. The
    smallest, which hold what tells where everything else is, are asked for twice and compared, for no
    checksum covers parts of a file. Everything that came is kept in a :class:`RangeStore`, and never asked
    for again.

    Parameters
    ----------
    url
        Its address.
    store
        Where parts of it are kept.
    transport, patience
        How they come.

    Raises
    ------
    SourceError
        If there is no such file, or its server does not serve ranges.
    """

    def __init__(
        self,
        url: str,
        store: str | Path,
        transport: Transport | None = None,
        patience: Patience | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        super().__init__()
        self.url, self._patience, self._connections = url, patience or Patience(), connections
        self.transport = transport or Transport(connections)
        self.version = self._look()
        self.size = int(self.version.size or 0)
        self.store = RangeStore(store, url, self.version)
        if self.store.resumed:
            LOG.info("going on with %s bytes that had been fetched before", f"{self.store.resumed:,}")
        self._lock = threading.Lock()
        self._position = 0
        self._block, self._next = BLOCK, -1

    def _look(self) -> Version:
        patience = self._patience.fresh()
        whole_answers = 0
        while whole_answers < MOST_WHOLE_ANSWERS:
            try:
                version, ranges, _ = self.transport.version(self.url)
            except TransientError as error:
                patience.failed(error, self.url)
                continue
            if ranges and version.size is not None:
                return version
            whole_answers += 1
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

    def tell(self) -> int:
        """Position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into a buffer; returns the bytes read, fewer only at the end of the file."""
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self.size)
        if stop <= self._position:
            return 0
        self._demand(self._position, stop)
        content = self.store.read(self._position, stop)
        view[: len(content)] = content
        self._position = stop
        return len(content)

    def close(self) -> None:
        """Close it; what has come stays in the store."""
        if not self.closed:
            self.store.close()
        super().close()

    def fetch(self, ranges: np.ndarray, name: str) -> None:
        """Fetch ranges, shape ``(n_ranges, 2)``, that are not here yet: joined, and many at once.

        Raises
        ------
        SourceError
            If the file changes meanwhile, or the server does not answer for too long.
        """
        holes = [
            hole for start, stop in np.asarray(ranges).tolist() for hole in self.store.missing(start, stop)
        ]
        asked = coalesce(np.array(holes, dtype=np.int64).reshape(-1, 2))
        progress = Progress(name, int((asked[:, 1] - asked[:, 0]).sum()))
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self._connections, thread_name_prefix="range") as pool:
            try:
                for start, stop in asked.tolist():
                    waiting.add(pool.submit(self._keep, start, stop, progress))
                    if len(waiting) >= 4 * self._connections:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        _demand_success(done)
                _demand_success(wait(waiting, return_when=FIRST_EXCEPTION).done)
            except BaseException:
                self._patience.abandoned.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _keep(self, start: int, stop: int, progress: Progress | None = None) -> None:
        """Fetch a range and store it; what has come of it when that fails is stored too."""
        content = bytearray()
        try:
            self._fill(start, stop, content)
        finally:
            with self._lock:
                self.store.add(start, bytes(content))
                if progress is not None:
                    progress.advance(len(content))

    def _keep_compared(self, start: int, stop: int) -> None:
        """Fetch a range until it comes the same twice, and store it."""
        answers: set[bytes] = set()
        for _ in range(MOST_ANSWERS):
            content = bytearray()
            self._fill(start, stop, content)
            if bytes(content) in answers:
                self.store.add(start, bytes(content))
                return
            answers.add(bytes(content))
        raise SourceError(f"{self.url}: the server sends other bytes each time (from byte {start:,})")

    def _fill(self, start: int, stop: int, content: bytearray) -> None:
        patience = self._patience.fresh()
        while len(content) < stop - start:
            try:
                self._ask(start, stop, content, patience)
            except TransientError as error:
                patience.failed(error, self.url)
            except ChangedError as error:
                raise SourceError(f"{error}. Run again: everything is fetched anew") from error

    def _ask(self, start: int, stop: int, content: bytearray, patience: Patience) -> None:
        first = start + len(content)
        with self.transport.open(self.url, first, stop, self.version) as answer:
            if not self.version.same(answer.version):
                raise ChangedError(f"{self.url}: the file changed while parts of it were fetched")
            if answer.start != first or (answer.length or 0) > stop - first:
                raise TransientError(f"{self.url}: asked for {first:,}-{stop - 1:,}, another part came")
            for piece in answer.pieces():
                content += piece
                patience.progressed()
            if len(content) > stop - start:
                del content[first - start :]
                raise TransientError(f"{self.url}: more came than was asked for")

    def _demand(self, start: int, stop: int) -> None:
        """Fetch what is missing of a range that is to be read now, in this thread.

        HDF5 calls this under its global lock. Another thread that happens to free an HDF5 object waits for
        that lock, so waiting for other threads here could last for ever.
        """
        if not self.store.missing(start, stop):
            return
        first, last = start, stop
        if stop - start < EXACT:
            first = start // BLOCK * BLOCK
            self._block = min(2 * self._block, WIDEST_BLOCK) if first <= self._next <= stop else BLOCK
            last = min(max(first + self._block, stop), self.size)
            self._next = last
        for hole_first, hole_last in self.store.missing(first, last):
            if hole_last - hole_first <= ASKED_TWICE:
                self._keep_compared(hole_first, hole_last)
                continue
            for cut in range(hole_first, hole_last, LARGEST):
                self._keep(cut, min(cut + LARGEST, hole_last))


def _demand_success(done: Iterable[Future[None]]) -> None:
    for future in done:
        future.result()
