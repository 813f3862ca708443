"""Real servers on 127.0.0.1 in the place of the real hosts: nginx for HTTPS, moto for the bucket behind it.

What was sent is read from nginx's own log. moto reads a whole object for every range that it is asked for, so
nginx asks it for large slices, once, and keeps them; whoever asks nginx notices nothing of that.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import boto3
import requests
from mirror_files import BUCKET, FOLDER, Files

from certificates import write_certificate

NGINX_MISSING = """nginx is not installed; the rehearsal needs it in the place of the real hosts.
    Debian, Ubuntu:  apt-get install nginx-light
"""
PART = 64 << 20
BUCKET_SERVER = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""
CONFIGURATION = """
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    log_format served '$request_method $status $body_bytes_sent $request_uri';
    access_log {folder}/access.log served;
    client_body_temp_path {folder}/temporary/body;
    proxy_temp_path {folder}/temporary/proxy;
    fastcgi_temp_path {folder}/temporary/fastcgi;
    uwsgi_temp_path {folder}/temporary/uwsgi;
    scgi_temp_path {folder}/temporary/scgi;
    proxy_cache_path {folder}/cache keys_zone=bucket:1m max_size=8g inactive=1d use_temp_path=off;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        root {hosts};
        location /{bucket}.s3.amazonaws.com/ {{
            slice 256m;
            rewrite ^/([^/]+)\\.s3\\.amazonaws\\.com/(.*)$ /$1/$2 break;
            proxy_pass http://127.0.0.1:{bucket_port};
            proxy_set_header Range $slice_range;
            proxy_cache bucket;
            proxy_cache_key $uri$slice_range;
            proxy_cache_valid 200 206 1d;
            proxy_cache_lock on;
        }}
        location = /ready {{ return 204; }}
{redirects}
    }}
}}
"""
# Hugging Face keeps large files elsewhere, and says their SHA-256 when it redirects there
REDIRECT = """
        location = /{path} {{
            add_header X-Linked-ETag '"{sha256}"' always;
            add_header X-Repo-Commit 0123456789abcdef0123456789abcdef01234567 always;
            return 302 https://127.0.0.1:{port}/cdn-lfs.huggingface.co/{path};
        }}
        location = /cdn-lfs.huggingface.co/{path} {{ alias {hosts}/{path}; }}
"""


@dataclass(frozen=True)
class Served:
    """What nginx sent of one address: requests, and bytes of the bodies of successful answers."""

    requests: int
    n_bytes: int


class Servers:
    """Both servers, from the start of a ``with`` block to its end.

    Attributes
    ----------
    mirror
        The prefix that turns the addresses of the real hosts into those of these servers.
    certificate
        The certificate that clients must trust.
    """

    def __init__(self, place: Path, files: Files) -> None:
        self.files = files
        self._folder = place / "nginx"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port, self._bucket_port = _free_port(), _free_port()
        self.mirror = f"https://127.0.0.1:{self._port}"
        self.certificate = self._folder / "certificate.pem"

    def __enter__(self) -> Servers:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise FileNotFoundError(NGINX_MISSING)
        (self._folder / "temporary").mkdir(parents=True)
        write_certificate(self._folder)
        (self._folder / "nginx.conf").write_text(self._configuration(), encoding="utf-8")
        self._start("bucket", [sys.executable, "-c", BUCKET_SERVER, str(self._bucket_port)])
        self._wait(f"http://127.0.0.1:{self._bucket_port}/")
        self._fill_bucket()
        self._start("nginx", [program, "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")])
        self._wait(f"{self.mirror}/ready")
        self._fill_cache()
        (self._folder / "access.log").write_text("", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(timeout=30)
        shutil.rmtree(self._folder / "cache", ignore_errors=True)

    def served(self) -> dict[str, Served]:
        """What was sent of each address so far, by nginx's log."""
        found: dict[str, Served] = {}
        for line in (self._folder / "access.log").read_text(encoding="utf-8").splitlines():
            _, status, n_bytes, uri = line.split(" ", 3)
            before = found.get(uri, Served(0, 0))
            body = int(n_bytes) if status in ("200", "206") else 0
            found[uri] = Served(before.requests + 1, before.n_bytes + body)
        return found

    def _configuration(self) -> str:
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        places = {"hosts": self.files.hosts, "port": self._port}
        redirects = [
            REDIRECT.format(path=path, sha256=sha256, **places) for path, sha256 in self.files.large.items()
        ]
        return CONFIGURATION.format(
            user=user,
            folder=self._folder,
            bucket=BUCKET,
            bucket_port=self._bucket_port,
            redirects="".join(redirects),
            **places,
        )

    def _start(self, name: str, command: list[str]) -> None:
        with (self._folder / f"{name}.out").open("wb") as output:
            self._processes.append(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))

    def _wait(self, url: str) -> None:
        def answers() -> bool:
            return requests.get(url, timeout=2, verify=str(self.certificate)).status_code > 0

        _until(answers, url)

    def _fill_bucket(self) -> None:
        """Upload in parts, as large objects are: their ETag is then no MD5."""
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._bucket_port}",
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",
        )
        client.create_bucket(Bucket=BUCKET, ACL="public-read")
        parts = boto3.s3.transfer.TransferConfig(multipart_chunksize=PART, use_threads=False)
        for path in sorted(self.files.objects.iterdir()):
            public = {"ACL": "public-read"}
            client.upload_file(str(path), BUCKET, f"{FOLDER}/{path.name}", ExtraArgs=public, Config=parts)

    def _fill_cache(self) -> None:
        """Let nginx ask the bucket for every object once."""
        for path in sorted(self.files.objects.iterdir()):
            url = f"{self.mirror}/{BUCKET}.s3.amazonaws.com/{FOLDER}/{path.name}"
            with requests.get(url, stream=True, timeout=600, verify=str(self.certificate)) as answer:
                received = sum(map(len, answer.iter_content(1 << 22)))
            assert received == path.stat().st_size, (path.name, received)


def _until(ready: Callable[[], bool], what: str) -> None:
    for _ in range(300):
        with suppress(requests.RequestException):
            if ready():
                return
        time.sleep(0.1)
    raise TimeoutError(f"{what} does not answer; see the logs under build/rehearsal/nginx")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
