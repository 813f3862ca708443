"""Bytes over HTTP: ranges, redirects, what failed and whether it is worth another try."""

from __future__ import annotations

import email.utils
import random
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from layerscope import __version__
from layerscope.errors import SourceError

ATTEMPTS = 8
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 900.0
REDIRECTS = 6
PIECE = 1 << 20
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
HEADERS = {"User-Agent": f"layerscope/{__version__}", "Accept-Encoding": "identity"}
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class TransientError(Exception):
    """A failure that may pass: the connection broke, or the server asks for patience.

    Attributes
    ----------
    wait
        Seconds that the server asks to wait; 0 where it does not say.
    """

    def __init__(self, what: str, wait: float = 0.0) -> None:
        super().__init__(what)
        self.wait = wait


class NoSuchFileError(SourceError):
    """There is no file at an address."""


class ChangedError(Exception):
    """The file at an address is not the one that was there before."""


@dataclass(frozen=True)
class Version:
    """What tells one state of a remote file from another.

    Attributes
    ----------
    size
        Bytes of the whole file; ``None`` where the server does not say.
    etag, modified
        Headers ``ETag`` and ``Last-Modified``; ``""`` where the server sends none.
    """

    size: int | None
    etag: str = ""
    modified: str = ""

    def same(self, other: Version) -> bool:
        """Whether nothing shows that the file has changed."""
        pairs = ((self.size, other.size), (self.etag, other.etag), (self.modified, other.modified))
        return all(mine == theirs or not mine or not theirs for mine, theirs in pairs)

    @property
    def validator(self) -> str:
        """Value of an ``If-Range`` header; ``""`` where the server gives nothing strong enough."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


@dataclass
class Patience:
    """How often and how long to wait for what may pass: failures in a row, without any progress between.

    Attributes
    ----------
    attempts
        Failures in a row after which to give up.
    first_wait
        Seconds before the second attempt; doubled each time, up to a minute. What a server asks for in
        ``Retry-After`` is granted, up to a quarter of an hour.
    abandoned
        Set it to end all waiting at once.
    """

    attempts: int = ATTEMPTS
    first_wait: float = FIRST_WAIT
    abandoned: threading.Event = field(default_factory=threading.Event)
    failures: int = field(default=0, init=False)

    def progressed(self) -> None:
        """Something came through: start counting anew."""
        self.failures = 0

    def failed(self, error: TransientError, what: str) -> None:
        """Wait, or give up.

        Raises
        ------
        SourceError
            After ``attempts`` failures in a row.
        """
        self.failures += 1
        if self.failures >= self.attempts:
            raise SourceError(
                f"{what}: given up after {self.failures} failures in a row; the last: {error}. "
                "What has been fetched is kept: run again to go on"
            ) from error
        wait = min(self.first_wait * 2 ** (self.failures - 1), LONGEST_WAIT) * random.uniform(0.5, 1)
        if self.abandoned.wait(max(wait, min(error.wait, LONGEST_RETRY_AFTER))):
            raise SourceError(f"{what}: abandoned") from error

    def fresh(self) -> Patience:
        """The same patience, not yet tried."""
        return Patience(self.attempts, self.first_wait, self.abandoned)


@dataclass
class Answer:
    """An answer of a server, its body not yet read.

    Attributes
    ----------
    start
        Offset of the body's first byte in the file.
    length
        Bytes of the body; ``None`` where the server does not say.
    version
        Of the whole file.
    headers
        Of the answer, and of the redirects that led to it (``X-Linked-ETag``, for one); lower-case names.
    """

    start: int
    length: int | None
    version: Version
    headers: Mapping[str, str]
    _pieces: Iterator[bytes]

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces, as they come.

        Raises
        ------
        TransientError
            If the connection breaks, or the body ends early.
        """
        return self._pieces


class Transport:
    """Connections, kept open and shared between threads, and a count of what came through them.

    Parameters
    ----------
    connections
        Connections to one host at a time.
    timeout
        Seconds to wait for a connection, and for each piece of a body.
    """

    def __init__(self, connections: int = 16, timeout: float = 60.0) -> None:
        self._connections = connections
        self._timeout = urllib3.Timeout(connect=min(timeout, 20.0), read=timeout)
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self.bytes_received = 0
        self.requests = 0

    @contextmanager
    def open(
        self, url: str, start: int = 0, stop: int | None = None, if_version: Version | None = None
    ) -> Iterator[Answer]:
        """Ask for a file, or for its bytes from ``start`` to before ``stop``.

        A server may answer with the whole file all the same; see the answer's ``start`` and ``length``.

        Raises
        ------
        TransientError
            For what may pass.
        SourceError
            For what will not: no such file, no permission, a certificate that cannot be trusted.
        """
        headers = dict(HEADERS)
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if if_version is not None and if_version.validator:
                headers["If-Range"] = if_version.validator
        response, seen = self._follow(url, headers)
        try:
            _demand_success(response, url, start)
            yield self._answer(response, seen, url)
        finally:
            response.close()
            response.release_conn()

    def version(self, url: str) -> tuple[Version, bool, Mapping[str, str]]:
        """Ask what is at an address: its version, whether it serves ranges, and the answer's headers."""
        try:
            with self.open(url, 0, 1) as answer:
                ranges = answer.length == 1
                if ranges:
                    for _ in answer.pieces():
                        pass
                return answer.version, ranges, answer.headers
        except ChangedError:
            with self.open(url) as answer:
                return answer.version, False, answer.headers

    def _follow(
        self, url: str, headers: Mapping[str, str]
    ) -> tuple[urllib3.BaseHTTPResponse, dict[str, str]]:
        seen: dict[str, str] = {}
        for _ in range(REDIRECTS):
            with self._lock:
                self.requests += 1
            try:
                response = self._pool(url).request(
                    "GET",
                    url,
                    headers=headers,
                    preload_content=False,
                    redirect=False,
                    retries=False,
                    timeout=self._timeout,
                )
            except urllib3.exceptions.SSLError as error:
                raise SourceError(f"{url}: no trusted connection ({error})") from error
            except urllib3.exceptions.HTTPError as error:
                raise TransientError(f"{url}: {_cause(error)}") from error
            seen |= {name.lower(): value for name, value in response.headers.items()}
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                return response, seen
            response.drain_conn()
            response.release_conn()
            url = urljoin(url, location)
        raise SourceError(f"{url}: more than {REDIRECTS} redirects")

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme, proxies.get("all", ""))
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = ""
        with self._lock:
            if proxy not in self._pools:
                pool = urllib3.proxy_from_url(proxy) if proxy else urllib3.PoolManager()
                pool.connection_pool_kw |= {"maxsize": self._connections, "block": True}
                self._pools[proxy] = pool
            return self._pools[proxy]

    def _answer(self, response: urllib3.BaseHTTPResponse, seen: Mapping[str, str], url: str) -> Answer:
        declared = response.headers.get("Content-Length")
        length = int(declared) if declared and declared.isdigit() else None
        start, size = 0, length
        if response.status == 206:
            found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not found:
                raise TransientError(f"{url}: answered a range without saying which")
            start, size = int(found[1]), int(found[3]) if found[3] != "*" else None
            length = int(found[2]) + 1 - start
        headers = response.headers
        version = Version(size, headers.get("ETag", ""), headers.get("Last-Modified", ""))
        return Answer(start, length, version, seen, self._pieces(response, length, url))

    def _pieces(self, response: urllib3.BaseHTTPResponse, length: int | None, url: str) -> Iterator[bytes]:
        received = 0
        try:
            while piece := response.read1(PIECE, decode_content=False):
                received += len(piece)
                with self._lock:
                    self.bytes_received += len(piece)
                yield piece
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"{url}: {_cause(error)} after {received:,} bytes") from error
        if length is not None and received != length:
            raise TransientError(f"{url}: {received:,} of {length:,} bytes came")


def _demand_success(response: urllib3.BaseHTTPResponse, url: str, start: int) -> None:
    status = response.status
    if status in (200, 206):
        return
    if status in TRY_AGAIN:
        raise TransientError(
            f"{url}: the server answered {status} {response.reason or ''}".rstrip(), _wait(response)
        )
    if status in (412, 416):
        raise ChangedError(f"{url}: there is no byte {start:,} in this file any more")
    meaning = {401: "no permission", 403: "no permission", 404: "no such file", 410: "no such file any more"}
    kind = NoSuchFileError if status in (404, 410) else SourceError
    raise kind(
        f"{url}: {meaning.get(status, 'refused')} (the server answered {status}). "
        "Check the address, or set a local `path`"
    )


def _wait(response: urllib3.BaseHTTPResponse) -> float:
    asked = response.headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    try:
        until = email.utils.parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)


def _cause(error: Exception) -> str:
    words = (
        str(error).rpartition(": ")[2]
        if isinstance(error, urllib3.exceptions.NewConnectionError)
        else str(error)
    )
    return words or type(error).__name__
