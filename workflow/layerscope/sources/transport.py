"""HTTP as downloads need it: ranges, what tells a changed file, and which failures are worth another try."""

from __future__ import annotations

import email.utils
import logging
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import requests

from layerscope import __version__
from layerscope.errors import SourceError

LOG = logging.getLogger(__name__)
ATTEMPTS = 8
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 900.0
CONNECT_TIMEOUT, READ_TIMEOUT = 20, 60
PIECE = 1 << 14  # what is lost of a body when its connection breaks
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
MEANING = {401: "no permission", 403: "no permission", 404: "no such file", 410: "no such file any more"}
HEADERS = {"User-Agent": f"layerscope/{__version__}", "Accept-Encoding": "identity"}
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class TransientError(Exception):
    """A failure that may pass; ``wait`` is the number of seconds that the server asks to wait."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class ChangedError(SourceError):
    """The file at an address is not the one that was there before."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url}: the file changed while it was fetched. Run again: it is fetched anew")


class NoSuchFileError(SourceError):
    """There is no file at an address."""


@dataclass(frozen=True)
class Version:
    """Size of a remote file (``None`` where unknown), and its ``ETag`` and ``Last-Modified`` (or ``""``)."""

    size: int | None
    etag: str = ""
    modified: str = ""

    def may_be(self, other: Version) -> bool:
        """Whether no field that both have differs."""
        pairs = ((self.size, other.size), (self.etag, other.etag), (self.modified, other.modified))
        return all(ours == theirs or not ours or not theirs for ours, theirs in pairs)

    @property
    def if_range(self) -> dict[str, str]:
        """Header with which a server sends a range only of this version; empty where it names none."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else self.modified
        return {"If-Range": strong} if strong else {}


@dataclass
class Retries:
    """Failures in a row without progress, and the wait after each: ``first_wait`` seconds, then doubling."""

    attempts: int = ATTEMPTS
    first_wait: float = FIRST_WAIT
    failures: int = field(default=0, init=False)

    def reset(self) -> None:
        """Start counting anew, after some progress."""
        self.failures = 0

    def wait(self, error: TransientError | ChangedError) -> None:
        """Wait before the next attempt; raises :class:`SourceError` when there is none left."""
        self.failures += 1
        if self.failures >= self.attempts:
            raise SourceError(
                f"{error}; given up after {self.failures} failures in a row. "
                "What has been fetched is kept: run again to go on"
            ) from error
        LOG.info("%s; trying again", error)
        wait = min(self.first_wait * 2 ** (self.failures - 1), LONGEST_WAIT) * random.uniform(0.5, 1)
        asked = error.wait if isinstance(error, TransientError) else 0.0
        time.sleep(max(wait, min(asked, LONGEST_RETRY_AFTER)))


@dataclass
class Answer:
    """A server's answer whose body has not been read: bytes ``start`` to before ``stop`` of a version.

    ``headers`` (lower case) are also those of the redirects on the way, which hold Hugging Face's checksums.
    """

    url: str
    start: int
    stop: int | None
    version: Version
    headers: Mapping[str, str]
    response: requests.Response

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes; :class:`TransientError` if the connection breaks before its end."""
        try:
            yield from self.response.iter_content(PIECE)
        except requests.RequestException as error:
            raise TransientError(f"{self.url}: the connection broke ({error})") from error


def http_session() -> requests.Session:
    """Connections that are kept open; certificates are those of ``SSL_CERT_FILE`` if it is set."""
    session = requests.Session()
    session.headers.update(HEADERS)
    session.verify = os.environ.get("SSL_CERT_FILE") or True
    return session


@contextmanager
def open_url(
    session: requests.Session,
    url: str,
    start: int = 0,
    stop: int | None = None,
    version: Version | None = None,
) -> Iterator[Answer]:
    """Ask for a file from byte ``start`` to before ``stop``; a server may answer with all of it.

    Raises
    ------
    TransientError
        For what may pass.
    SourceError
        For what will not pass: no such file, no permission, a certificate that is not trusted; its subclass
        :class:`ChangedError` if the file is no longer of ``version``.
    """
    headers = version.if_range if version is not None else {}
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    timeout = CONNECT_TIMEOUT, READ_TIMEOUT
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.exceptions.SSLError as error:
        raise SourceError(f"{url}: no trusted connection ({error})") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise TransientError(f"{url}: no connection ({error})") from error
    except requests.RequestException as error:
        raise SourceError(f"{url}: {error}") from error
    with response:
        seen = {
            name.lower(): value for r in [*response.history, response] for name, value in r.headers.items()
        }
        first, last, answered = demand_success(url, response.status_code, response.headers)
        if version is not None and not version.may_be(answered):
            raise ChangedError(url)
        yield Answer(url, first, last, answered, seen, response)


def demand_success(url: str, status: int, headers: Mapping[str, str]) -> tuple[int, int | None, Version]:
    """First byte of an answer's body, the byte after its last, and the version of the file; or raise."""
    if status in TRY_AGAIN:
        raise TransientError(f"{url}: the server answered {status}", _retry_after(headers))
    if status in (412, 416):
        raise ChangedError(url)
    if status not in (200, 206):
        kind = NoSuchFileError if status in (404, 410) else SourceError
        raise kind(
            f"{url}: {MEANING.get(status, 'refused')} (the server answered {status}). "
            "Check the address, or set a local `path`"
        )
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    if status == 200:
        size = headers.get("Content-Length", "")
        stop = int(size) if size.isdigit() else None
        return 0, stop, Version(stop, etag, modified)
    sent = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if sent is None:
        raise TransientError(f"{url}: the server sent a range without saying which")
    size = sent[3]
    return int(sent[1]), int(sent[2]) + 1, Version(None if size == "*" else int(size), etag, modified)


def demand_range(url: str, sent: tuple[int, int | None], start: int, stop: int) -> None:
    """Refuse a body that does not begin with byte ``start``, or goes beyond the byte before ``stop``."""
    first, last = sent
    if first != start or last is None or last > stop:
        raise TransientError(f"{url}: asked for bytes {start:,} to {stop:,}, {first:,} to {last or 0:,} came")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait, given as such or as a date."""
    asked = headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    try:
        until = email.utils.parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    return max((until - datetime.now(UTC)).total_seconds(), 0.0)
