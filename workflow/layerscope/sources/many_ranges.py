"""Many ranges of one remote file at once, through fsspec."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from itertools import islice
from typing import Any

import aiohttp
import fsspec
from fsspec.utils import merge_offset_ranges
from tqdm import tqdm

from layerscope.sources.transport import (
    CONNECT_TIMEOUT,
    HEADERS,
    READ_TIMEOUT,
    Answer,
    Retries,
    TransientError,
    Version,
    trusted_certificates,
)

CONNECTIONS = 32
FREE_GAP = 1 << 10  # bytes that cost less than another request
LONGEST_RANGE = 1 << 20
RANGES_OF_PART = 128
MAY_PASS = (TransientError, aiohttp.ClientError, TimeoutError, OSError)

Spans = list[tuple[int, int]]  # first byte, and the byte after the last
Pieces = list[tuple[int, bytes]]  # first byte, and content


def fetch_ranges(url: str, version: Version, ranges: Spans, retries: Retries, name: str) -> Iterator[Pieces]:
    """Fetch ranges, of which near ones are joined; yields what comes, some of them at a time."""
    starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
    _, starts, stops = merge_offset_ranges([url] * len(ranges), starts, stops, FREE_GAP, LONGEST_RANGE)
    web = _checked_web(url, version)
    spans = iter(zip(starts, stops, strict=True))
    with tqdm(
        desc=name, total=sum(stops) - sum(starts), unit="B", unit_scale=True, mininterval=10
    ) as progress:
        while waiting := list(islice(spans, RANGES_OF_PART)):
            while waiting:
                came, waiting, errors = _fetch_together(web, url, waiting)
                progress.update(sum(len(content) for _, content in came))
                yield came
                if came:
                    retries.reset()
                if errors:
                    retries.wait(_failure(url, errors))


def _fetch_together(web: Any, url: str, spans: Spans) -> tuple[Pieces, Spans, list[Exception]]:
    """Ask for all spans at once: what came, the spans that did not, and why."""
    starts, stops = zip(*spans, strict=True)
    answers = web.cat_ranges([url] * len(spans), starts, stops, batch_size=CONNECTIONS, on_error="return")
    answered = list(zip(spans, answers, strict=True))
    came = [(start, content) for (start, _), content in answered if isinstance(content, bytes)]
    failed = [(span, error) for span, error in answered if not isinstance(error, bytes)]
    return came, [span for span, _ in failed], [error for _, error in failed]


def _checked_web(url: str, version: Version) -> Any:
    """The web as a file system; every answer is checked before its body is read."""

    async def check(response: aiohttp.ClientResponse) -> None:
        first, last = response.request_info.headers["Range"].removeprefix("bytes=").split("-")
        try:
            answer = Answer.read(url, response.status, response.headers)
            answer.demand(url, int(first), int(last) + 1, version)
        except Exception:
            response.close()
            raise

    session = {
        "headers": HEADERS | version.if_range,
        "raise_for_status": check,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
        "trust_env": True,
    }
    return fsspec.filesystem(
        "http",
        client_kwargs=session,
        ssl=ssl.create_default_context(cafile=trusted_certificates()),
        encoded=True,
        skip_instance_cache=True,
    )


def _failure(url: str, errors: list[Exception]) -> TransientError:
    """Raise a failure that will not pass; else return the first."""
    for error in errors:
        if not isinstance(error, MAY_PASS):
            raise error
    first = errors[0]
    if isinstance(first, TransientError):
        return first
    return TransientError(f"{url}: the connection broke ({first or type(first).__name__})")
