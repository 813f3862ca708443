"""A server on 127.0.0.1 that serves files as the real ones do, and fails as they do, by a seeded plan."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

# every fault test draws its faults anew with another number here: LAYERSCOPE_FAULT_SEED=5 pytest tests/unit
SHIFT = 1000 * int(os.environ.get("LAYERSCOPE_FAULT_SEED", "0"))

RANGE = re.compile(r"bytes=(\d+)-(\d*)")
PIECE = 1 << 14


@dataclass(frozen=True)
class Request:
    """What is asked: the number of the request (from 0), the path, and the range (stop is exclusive)."""

    number: int
    path: str
    start: int
    stop: int
    ranged: bool


Plan = Callable[[Request], str]


def no_fault(_: Request) -> str:
    """Every request succeeds."""
    return ""


def random_faults(kinds: list[str], share: float, seed: int) -> Plan:
    """A share of requests fails, by the seed and the number of the request alone."""

    def plan(request: Request) -> str:
        rng = np.random.default_rng([seed, request.number])
        return str(rng.choice(kinds)) if rng.random() < share else ""

    return plan


def fault_seeds(*numbers: int) -> list[int]:
    """Seeds of a test's faults: these numbers, shifted by what the environment says."""
    return [SHIFT + number for number in numbers]


def first(*faults: str) -> Plan:
    """The first requests fail, one after the other, in these ways."""
    return lambda request: faults[request.number] if request.number < len(faults) else ""


def start_script(name: str, **options: object) -> subprocess.Popen[bytes]:
    """A script of the repository, in a process of its own that can be killed."""
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, f"scripts/{name}", *words]
    root, environment = Path(__file__).parents[1], {**os.environ, "PYTHONPATH": "workflow"}
    return subprocess.Popen(command, cwd=root, env=environment)


class QuietServer(ThreadingHTTPServer):
    """A server that does not print what breaks: breaking is its business."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """Be silent."""


@dataclass
class FaultServer:
    """Serve ``files`` (path to content) until the block ends.

    The garbage collector rests meanwhile: in a thread of this server it could free an HDF5 object, for which
    it would wait until HDF5 has read, which waits for this server.

    Faults: ``drop`` (the connection breaks inside the body), ``reset`` (before any answer), ``500``, ``503``,
    ``429`` (with Retry-After: 0), ``404``, ``ignore_range`` (the whole file instead), ``short`` (fewer bytes
    than asked for, honestly declared), ``wrong_range`` (another part), ``wrong_bytes`` (bits flipped),
    ``change`` (the file is replaced by ``changed`` from now on), ``hang`` (nothing comes).
    """

    files: dict[str, bytes]
    plan: Plan = no_fault
    ranges: bool = True
    changed: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    redirects: Mapping[str, str] = field(default_factory=dict)
    seconds_per_piece: float = 0.0
    seed: int = 0
    certificate: Path | None = None  # folder of certificate.pem and key.pem, for https

    def __enter__(self) -> FaultServer:
        gc.disable()
        self.requests: list[Request] = []
        self.bytes_sent = 0
        self.lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate / "certificate.pem", self.certificate / "key.pem")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.url = self.url.replace("http:", "https:")
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        gc.enable()

    def reset_counts(self) -> None:
        """Forget what has been served."""
        with self.lock:
            self.requests, self.bytes_sent = [], 0


@lru_cache(maxsize=64)
def etag(content: bytes) -> str:
    """Strong validator of a content (Python keeps the hash of bytes, so a large file costs nothing again)."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()[:16]}-{len(content):x}"'


def _handler(server: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: Any) -> None:
            """Be silent."""

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path in server.redirects:
                self._empty(302, {"Location": server.redirects[path]})
                return
            content = server.files.get(path)
            asked = RANGE.fullmatch(self.headers.get("Range", "")) if server.ranges else None
            if_range = self.headers.get("If-Range", "")
            if (
                content is not None
                and if_range
                and if_range not in (etag(content), MODIFIED, *server.headers.values())
            ):
                asked = None
            start = int(asked[1]) if asked else 0
            size = len(content) if content is not None else 0
            stop = min(int(asked[2]) + 1, size) if asked and asked[2] else size
            with server.lock:
                request = Request(len(server.requests), path, start, stop, asked is not None)
                server.requests.append(request)
            with suppress(BrokenPipeError, ConnectionResetError):
                self._answer(request, content, server.plan(request))

        def _answer(self, request: Request, content: bytes | None, fault: str) -> None:
            rng = np.random.default_rng([server.seed, request.number, 1])
            if fault == "reset":
                self._break()
                return
            if fault == "hang":
                time.sleep(3)
                self._break()
                return
            if fault in ("500", "503", "429", "404") or content is None:
                self._empty(
                    int(fault) if fault else 404, {"Retry-After": "0"} if fault in ("503", "429") else {}
                )
                return
            if fault == "change":
                server.files |= server.changed
                content = server.files[request.path]
            start, stop, ranged = request.start, request.stop, request.ranged
            if fault == "ignore_range":
                start, stop, ranged = 0, len(content), False
            if ranged and start >= len(content):
                self._empty(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            if fault == "short" and stop - start > 1:
                stop = start + int(rng.integers(1, stop - start))
                ranged = True
            body = content[start:stop]
            if fault == "wrong_bytes":
                flipped = np.frombuffer(body, dtype=np.uint8).copy()
                flipped[rng.integers(0, len(flipped), 3)] ^= 0xFF
                body = flipped.tobytes()
            if fault == "wrong_range" and start >= 1:
                start, body = start - 1, content[start - 1 : stop - 1]
            self.send_response(206 if ranged else 200)
            self.send_header("Content-Length", str(len(body)))
            if ranged:
                self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(content)}")
            headers = {"ETag": etag(content), "Last-Modified": MODIFIED, **server.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            until = int(rng.integers(0, len(body))) if fault == "drop" else len(body)
            self._send(body[:until])
            if fault == "drop":
                self._break()

        def _send(self, body: bytes) -> None:
            for at in range(0, len(body), PIECE):
                with server.lock:  # counted first: whoever has read the bytes finds them counted
                    server.bytes_sent += len(body[at : at + PIECE])
                self.wfile.write(body[at : at + PIECE])
                if server.seconds_per_piece:
                    time.sleep(server.seconds_per_piece)

        def _empty(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def _break(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    return Handler


MODIFIED = "Wed, 01 Jan 2025 00:00:00 GMT"
