"""A server of one file that answers as a distant one does: late, and only so many requests at once.

It is a process of its own, so that it takes no time from its client; it counts what it serves.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

RANGE = re.compile(rb"^Range: *bytes=(\d+)-(\d+)\r?$", re.MULTILINE | re.IGNORECASE)
HEAD = """HTTP/1.1 206 Partial Content\r
Content-Length: {length}\r
Content-Range: bytes {first}-{last}/{size}\r
ETag: "{size:x}"\r
\r
"""


@dataclass(frozen=True)
class Served:
    """Requests, bytes of the answers, seconds from first to last, and the most requests that came at once."""

    requests: int
    n_bytes: int
    seconds: float
    at_once: int


class DistantServer:
    """Serves a file at ``url`` from the start of a ``with`` block to its end."""

    def __init__(self, file: Path, delay: float = 0.05, at_once: int = 32) -> None:
        self._command = [sys.executable, __file__, str(file), str(delay), str(at_once)]
        self._name = file.name

    def __enter__(self) -> DistantServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._host = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.url = f"{self._host}/{self._name}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def served(self) -> Served:
        """What has been served."""
        with urllib.request.urlopen(f"{self._host}/served", timeout=10) as answer:
            return Served(**json.load(answer))


async def serve(file: str, delay: float, at_once: int) -> None:
    """Answer until the process ends; its port is the only line of its output."""
    size, stream = Path(file).stat().st_size, os.open(file, os.O_RDONLY)
    places = asyncio.Semaphore(at_once)
    counts = {"requests": 0, "n_bytes": 0, "seconds": 0.0, "at_once": 0}
    serving, began = 0, 0.0

    async def answer(request: bytes) -> bytes:
        nonlocal serving, began
        if request.startswith(b"GET /served "):
            text = json.dumps(counts).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text
        asked = RANGE.search(request)
        assert asked is not None, request
        first, last = int(asked[1]), min(int(asked[2]), size - 1)
        began = began or time.monotonic()
        async with places:
            serving += 1
            counts["at_once"] = max(counts["at_once"], serving)
            await asyncio.sleep(delay)
            serving -= 1
        body = os.pread(stream, last - first + 1, first)
        counts["requests"] += 1
        counts["n_bytes"] += len(body)
        counts["seconds"] = time.monotonic() - began
        return HEAD.format(length=len(body), first=first, last=last, size=size).encode() + body

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server: Any = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
