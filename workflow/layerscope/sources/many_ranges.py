"""Many ranges of one remote file at once, through fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp
import fsspec
import numpy as np
from tqdm import tqdm

from layerscope.sources.transport import (
    CONNECT_TIMEOUT,
    HEADERS,
    READ_TIMEOUT,
    ChangedError,
    Retries,
    TransientError,
    Version,
    demand_range,
    demand_success,
)

CONNECTIONS = 32
RANGES_OF_PART, BYTES_OF_PART = 128, 1 << 26
MAY_PASS = (TransientError, aiohttp.ClientError, TimeoutError, OSError)


def fetch_ranges(
    url: str, version: Version, ranges: np.ndarray, retries: Retries, name: str
) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the ranges of a file as they come, a part of them at a time.

    Parameters
    ----------
    url, version
        The file; an answer from another version is refused.
    ranges
        First byte and the byte after the last, shape ``(n_ranges, 2)``, int64.
    retries
        How often what failed of a part is tried again.
    name
        What is fetched, for the progress bar.

    Yields
    ------
    First byte and content of each range that came.

    Raises
    ------
    SourceError
        If the file changed, or the server does not answer for too long.
    """
    web = _checked_web(url, version)
    total = int((ranges[:, 1] - ranges[:, 0]).sum())
    with tqdm(desc=name, total=total, unit="B", unit_scale=True, mininterval=10) as progress:
        for part in _parts(ranges):
            waiting = part
            while waiting:
                starts, stops = zip(*waiting, strict=True)
                answers = web.cat_ranges(
                    [url] * len(starts), starts, stops, batch_size=CONNECTIONS, on_error="return"
                )
                came = [(s, a) for s, a in zip(starts, answers, strict=True) if isinstance(a, bytes)]
                waiting = [w for w, a in zip(waiting, answers, strict=True) if not isinstance(a, bytes)]
                progress.update(sum(len(content) for _, content in came))
                yield came
                if came:
                    retries.reset()
                if waiting:
                    retries.wait(_worst(url, [a for a in answers if not isinstance(a, bytes)]))


def _checked_web(url: str, version: Version) -> Any:
    """The web as a file system; every answer is checked before its body is read."""

    async def check(response: aiohttp.ClientResponse) -> None:
        try:
            first, last, answered = demand_success(url, response.status, response.headers)
            if not version.may_be(answered):
                raise ChangedError(url)
            start, stop = map(int, response.request_info.headers["Range"].removeprefix("bytes=").split("-"))
            demand_range(url, (first, last), start, stop + 1)
            if last != stop + 1:
                raise TransientError(f"{url}: fewer bytes came than were asked for")
        except Exception:
            response.close()
            raise

    session = {
        "headers": HEADERS | version.if_range,
        "raise_for_status": check,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
        "trust_env": True,
    }
    return fsspec.filesystem("http", client_kwargs=session, encoded=True, skip_instance_cache=True)


def _worst(url: str, errors: list[Exception]) -> TransientError:
    """Raise a failure that will not pass; else return the first."""
    for error in errors:
        if not isinstance(error, MAY_PASS):
            raise error
    first = errors[0]
    if isinstance(first, TransientError):
        return first
    return TransientError(f"{url}: the connection broke ({first or type(first).__name__})")


def _parts(ranges: np.ndarray) -> Iterator[list[tuple[int, int]]]:
    """Consecutive ranges for one part each: limited in number, and in bytes."""
    part: list[tuple[int, int]] = []
    n_bytes = 0
    for start, stop in ranges.tolist():
        if part and (len(part) == RANGES_OF_PART or n_bytes + stop - start > BYTES_OF_PART):
            yield part
            part, n_bytes = [], 0
        part.append((start, stop))
        n_bytes += stop - start
    if part:
        yield part
