"""Many ranges of one remote file at once, through fsspec."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import aiohttp
import fsspec
from fsspec.asyn import sync
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
PIECES_OF_PART, BYTES_OF_PART = 32, 1 << 18  # what a kill can lose, beside what is on its way
SILENT = 5  # seconds before progress is shown
MAY_PASS = (TransientError, aiohttp.ClientError, TimeoutError, OSError)

Spans = list[tuple[int, int]]  # first byte, and the byte after the last
Pieces = list[tuple[int, bytes]]  # first byte, and content


def fetch_ranges(
    url: str, version: Version, ranges: Spans, retries: Retries, name: str, keep: Callable[[Pieces], None]
) -> None:
    """Fetch ranges, of which near ones are joined; ``keep`` gets what comes, some of them at a time."""
    starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
    _, starts, stops = merge_offset_ranges([url] * len(ranges), starts, stops, FREE_GAP, LONGEST_RANGE)
    web = _checked_web(url, version)
    waiting = deque(zip(starts, stops, strict=True))
    with tqdm(
        desc=name, total=sum(stops) - sum(starts), unit="B", unit_scale=True, mininterval=10, delay=SILENT
    ) as progress:

        def come(pieces: Pieces) -> None:
            keep(pieces)
            progress.update(sum(len(content) for _, content in pieces))

        while waiting:
            n_waiting = len(waiting)
            errors = sync(web.loop, _fetch_together, web, url, waiting, come)
            if len(waiting) < n_waiting:
                retries.reset()
            if errors:
                retries.wait(errors[0])


async def _fetch_together(
    web: Any, url: str, waiting: deque[tuple[int, int]], keep: Callable[[Pieces], None]
) -> list[TransientError]:
    """Fetch what waits, ``CONNECTIONS`` at a time, until all has come or as many have failed; returns why."""
    pieces: Pieces = []
    failed: Spans = []
    errors: list[TransientError] = []

    async def fetch_some() -> None:
        while waiting and len(errors) < CONNECTIONS:
            start, stop = waiting.popleft()
            try:
                content = await web._cat_file(url, start, stop)
            except MAY_PASS as error:
                failed.append((start, stop))
                errors.append(_failure(url, error))
                continue
            pieces.append((start, content))
            if len(pieces) == PIECES_OF_PART or sum(len(content) for _, content in pieces) >= BYTES_OF_PART:
                keep(pieces)
                pieces.clear()

    tasks = [asyncio.create_task(fetch_some()) for _ in range(CONNECTIONS)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()  # those that go on where one has failed for good
    if pieces:
        keep(pieces)
    waiting.extendleft(reversed(failed))
    return errors


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


def _failure(url: str, error: Exception) -> TransientError:
    if isinstance(error, TransientError):
        return error
    return TransientError(f"{url}: the connection broke ({error or type(error).__name__})")
