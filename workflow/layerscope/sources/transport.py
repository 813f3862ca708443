"""HTTP as downloads need it: ranges, what tells a changed file, and which failures are worth another try."""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests

from layerscope import __version__
from layerscope.errors import SourceError

LOG = logging.getLogger(__name__)
ATTEMPTS = 8
FIRST_WAIT, LONGEST_WAIT, LONGEST_RETRY_AFTER = 0.5, 60.0, 900.0
CONNECT_TIMEOUT, READ_TIMEOUT = 20, 60
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
MEANING = {401: "no permission", 403: "no permission", 404: "no such file", 410: "no such file any more"}
HEADERS = {"User-Agent": f"layerscope/{__version__}", "Accept-Encoding": "identity"}
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


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

    def wait(self, error: Exception) -> None:
        """Wait before the next attempt; raises :class:`SourceError` when there is none left."""
        self.failures += 1
        if self.failures >= self.attempts:
            raise SourceError(
                f"{error}; given up after {self.failures} failures in a row. "
                "What has been fetched is kept: run again to go on"
            ) from error
        LOG.info("%s; trying again", error)
        wait = self.first_wait * 2 ** (self.failures - 1) * random.uniform(0.5, 1)
        asked = getattr(error, "wait", 0.0)
        time.sleep(max(min(wait, LONGEST_WAIT), min(asked, LONGEST_RETRY_AFTER)))


@dataclass(frozen=True)
class Answer:
    """The head of an answer, whose body is bytes ``start`` to before ``stop`` of a version of a file."""

    start: int
    stop: int | None
    version: Version

    @classmethod
    def read(cls, url: str, status: int, headers: Mapping[str, str]) -> Answer:
        """Read status and headers; raises :class:`TransientError` or :class:`SourceError` for a failure."""
        if status in TRY_AGAIN:
            wait = headers.get("Retry-After", "")
            raise TransientError(f"{url}: the server answered {status}", float(wait) if wait.isdigit() else 0)
        if status in (412, 416):
            raise ChangedError(url)
        if status not in (200, 206):
            kind = NoSuchFileError if status in (404, 410) else SourceError
            raise kind(
                f"{url}: {MEANING.get(status, 'refused')} (the server answered {status}). "
                "Check the address, or set a local `path`"
            )
        named = headers.get("ETag", ""), headers.get("Last-Modified", "")
        if status == 200:
            length = headers.get("Content-Length", "")
            size = int(length) if length.isdigit() else None
            return cls(0, size, Version(size, *named))
        sent = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if sent is None:
            raise TransientError(f"{url}: the server sent a range without saying which")
        return cls(int(sent[1]), int(sent[2]) + 1, Version(int(sent[3]), *named))

    def demand(self, url: str, start: int, stop: int, version: Version) -> None:
        """Refuse another range, or another version of the file, than was asked for."""
        if not version.may_be(self.version):
            raise ChangedError(url)
        if (self.start, self.stop) != (start, stop):
            raise TransientError(
                f"{url}: bytes {self.start:,} to {self.stop} came, not {start:,} to {stop:,}"
            )


def trusted_certificates() -> str:
    """File of the certificates that are trusted: the environment's, else those that requests brings."""
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    return named or requests.utils.DEFAULT_CA_BUNDLE_PATH


def http_session() -> requests.Session:
    """Connections that are kept open."""
    session = requests.Session()
    session.headers.update(HEADERS)
    return session


@contextmanager
def open_url(
    session: requests.Session, url: str, headers: Mapping[str, str]
) -> Iterator[tuple[Answer, requests.Response]]:
    """Ask for a file; the body of the response is still to be read, inside the block.

    Raises TransientError for what may pass, also while the body is read, SourceError for what will not.
    """
    try:
        with session.get(
            url,
            headers=headers,
            stream=True,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            verify=trusted_certificates(),
        ) as response:
            yield Answer.read(url, response.status_code, response.headers), response
    except requests.exceptions.SSLError as error:
        raise SourceError(f"{url}: no trusted connection ({error})") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientError(f"{url}: the connection broke ({error})") from error
    except requests.RequestException as error:
        raise SourceError(f"{url}: {error}") from error
