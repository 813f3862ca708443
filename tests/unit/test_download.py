"""A download ends right or with one clear message, goes on after a break, and never asks twice for a byte."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from fault_server import SHIFT, FaultServer, etag, fault_seeds, first, random_faults, start_script
from layerscope.command_line import refused
from layerscope.errors import SourceError
from layerscope.sources.addresses import Address
from layerscope.sources.download import download
from layerscope.sources.manifest import manifest_path, read_manifest
from layerscope.sources.transport import Retries

CONTENT = np.random.default_rng(0).bytes(400_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
EVERYTHING = ["drop", "reset", "500", "503", "429", "short", "wrong_range"]


@pytest.fixture
def server():
    with FaultServer({"/file.bin": CONTENT}) as made:
        yield made


def got(
    server: FaultServer, output: Path, path: str = "/file.bin", attempts: int = 8, **known: object
) -> dict[str, Any]:
    url = server.url + path
    address = Address(url, url, **known)  # type: ignore[arg-type]
    return download(address, output, Retries(attempts, 0.001))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_with_its_manifest(server, tmp_path):
    manifest = got(server, tmp_path / "file.bin", size=len(CONTENT), sha256=SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert left_in(tmp_path) == ["file.bin", "file.bin.manifest.json"]
    assert manifest == read_manifest(tmp_path / "file.bin")
    known = {"url": f"{server.url}/file.bin", "bytes": len(CONTENT), "sha256": SHA256, "etag": etag(CONTENT)}
    assert known.items() <= manifest.items()
    assert manifest["tool"].startswith("layerscope ")
    assert datetime.fromisoformat(manifest["date"])


def test_a_file_that_is_there_and_right_is_not_fetched(server, tmp_path):
    got(server, tmp_path / "file.bin")
    server.reset_counts()
    got(server, tmp_path / "file.bin")
    assert server.requests == []


def test_a_file_that_is_there_without_manifest_is_taken_if_its_checksum_is_right(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(CONTENT)
    got(server, tmp_path / "file.bin", sha256=SHA256)
    assert server.requests == []
    assert manifest_path(tmp_path / "file.bin").is_file()


@pytest.mark.parametrize("wrong", [b"", CONTENT[:-1], CONTENT[:-1] + b"x"])
def test_a_file_that_is_there_and_wrong_is_fetched_anew(server, tmp_path, wrong):
    got(server, tmp_path / "file.bin")
    (tmp_path / "file.bin").write_bytes(wrong)
    got(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("seed", fault_seeds(*range(12)))
def test_whatever_fails_the_bytes_are_right(tmp_path, seed):
    plan = random_faults(EVERYTHING, 0.7, seed)
    with FaultServer({"/file.bin": CONTENT}, plan, seed=seed) as server:
        got(server, tmp_path / "file.bin", attempts=40)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("seed", fault_seeds(*range(3)))
def test_what_came_before_a_break_is_not_asked_again(tmp_path, seed):
    plan = first(*["drop"] * 5)
    with FaultServer({"/file.bin": CONTENT}, plan, seed=seed) as server:
        got(server, tmp_path / "file.bin")
        asked = [request.start for request in server.requests]
        assert asked == sorted(asked)
        assert asked[-1] > 0
        # what was on its way when a connection broke may be lost, and nothing else
        assert len(CONTENT) <= server.bytes_sent <= len(CONTENT) + 65_536


def test_giving_up_keeps_what_came_and_the_next_run_goes_on(tmp_path):
    with FaultServer({"/file.bin": CONTENT}, first("drop", *["503"] * 50), seed=SHIFT + 3) as server:
        with pytest.raises(SourceError, match="4 failures"):
            got(server, tmp_path / "file.bin", attempts=4)
        assert not (tmp_path / "file.bin").exists()
        had = (tmp_path / ".download.file.bin").stat().st_size
        assert had > 0
        server.plan = first()
        server.reset_counts()
        got(server, tmp_path / "file.bin")
        assert server.requests[0].start == had
        assert server.bytes_sent == len(CONTENT) - had
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_serves_the_whole_file_again(tmp_path):
    with FaultServer({"/file.bin": CONTENT}, first("drop", "ignore_range")) as server:
        got(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_file_that_changes_between_two_ranges_is_fetched_anew(tmp_path):
    newer = np.random.default_rng(1).bytes(350_000)
    plan = first("drop", "change")
    with FaultServer({"/file.bin": CONTENT}, plan, changed={"/file.bin": newer}) as server:
        got(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == newer


def test_a_partial_download_of_an_older_version_is_not_used(tmp_path):
    newer = CONTENT[:-5] + b"newer"
    with FaultServer({"/file.bin": CONTENT}, first("drop", *["500"] * 9)) as server:
        with pytest.raises(SourceError):
            got(server, tmp_path / "file.bin", attempts=3)
        server.files["/file.bin"], server.plan = newer, first()
        got(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == newer


@pytest.mark.parametrize(
    ("known", "headers", "words"),
    [
        ({"sha256": SHA256}, {}, f"expected the SHA-256 {SHA256}, found"),
        ({"md5": MD5}, {}, f"expected the MD5 {MD5}, found"),
        ({}, {"X-Linked-ETag": f'"{SHA256}"'}, f"expected the SHA-256 {SHA256}"),
        ({}, {"x-amz-request-id": "1", "ETag": f'"{MD5}"'}, f"expected the MD5 {MD5}"),
    ],
    ids=["SHA-256", "MD5", "of Hugging Face", "of S3"],
)
def test_wrong_bytes_are_refused_and_the_next_run_fetches_anew(tmp_path, known, headers, words):
    with FaultServer({"/file.bin": CONTENT}, first("wrong_bytes"), headers=headers) as server:
        with pytest.raises(SourceError, match=words):
            got(server, tmp_path / "file.bin", **known)
        assert left_in(tmp_path) == []
        got(server, tmp_path / "file.bin", **known)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_another_size_is_refused(server, tmp_path):
    with pytest.raises(SourceError, match="the study says 5 bytes, the server has 400,000"):
        got(server, tmp_path / "file.bin", size=5)


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(SourceError, match=r"absent\.bin.*404.*`path`"):
        got(server, tmp_path / "x", "/absent.bin")
    assert len(server.requests) == 1


def test_a_redirect_is_followed_with_its_range(tmp_path):
    redirects = {"/here": "/file.bin"}
    with FaultServer({"/file.bin": CONTENT}, first("drop"), redirects=redirects) as server:
        manifest = got(server, tmp_path / "file.bin", "/here")
        assert server.requests[-1].start > 0
    assert manifest["url"].endswith("/here")
    with (
        FaultServer({}, redirects={"/a": "/b", "/b": "/a"}) as server,
        pytest.raises(SourceError, match="redirects"),
    ):
        got(server, tmp_path / "x", "/a")


def test_a_server_that_does_not_answer_is_given_up(tmp_path):
    url = "http://127.0.0.1:9/file.bin"
    with pytest.raises(SourceError, match="3 failures"):
        download(Address(url, url), tmp_path / "file.bin", Retries(3, 0.001))


def test_an_empty_file_is_a_file(tmp_path):
    with FaultServer({"/empty": b""}) as server:
        assert got(server, tmp_path / "empty", "/empty")["bytes"] == 0


def test_gzip_is_undone_unless_the_output_is_gzip_too(tmp_path):
    packed = gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:])
    with FaultServer({"/file.bin.gz": packed, "/torn.gz": packed[:-30]}) as server:
        got(server, tmp_path / "file.bin", "/file.bin.gz")
        assert (tmp_path / "file.bin").read_bytes() == CONTENT
        got(server, tmp_path / "file.bin.gz", "/file.bin.gz")
        assert (tmp_path / "file.bin.gz").read_bytes() == packed
        server.reset_counts()
        got(server, tmp_path / "file.bin", "/file.bin.gz")
        assert server.requests == []
        with pytest.raises(SourceError, match="damaged archive"):
            got(server, tmp_path / "torn", "/torn.gz")
    assert not (tmp_path / "torn").exists()


def test_a_file_that_does_not_fit_is_not_begun(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 4, 5))
    with pytest.raises(SourceError, match=r"400,000 bytes .*5 are free"):
        got(server, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()


def test_a_disk_that_fills_up_is_named_and_what_came_is_kept(server, tmp_path, monkeypatch):
    opened = Path.open

    def on_a_full_disk(self: Path, mode: str = "r", *rest: Any, **options: Any) -> IO[Any]:
        return opened(Path("/dev/full") if mode == "ab" else self, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(OSError, match="No space left") as full:
        got(server, tmp_path / "file.bin")
    assert str(refused(full.value)).startswith(f"{tmp_path / 'file.bin'}: the disk is full")
    assert not (tmp_path / "file.bin").exists()
    monkeypatch.undo()
    got(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("seed", fault_seeds(1))
def test_a_killed_process_goes_on_where_it_was(tmp_path, seed):
    content = np.random.default_rng(seed).bytes(3_000_000)
    wait = float(np.random.default_rng(seed).uniform(0.1, 0.4))
    with FaultServer({"/file.bin": content}, seconds_per_piece=0.005) as server:
        asked = {"settings": json.dumps({"url": f"{server.url}/file.bin"}), "output": tmp_path / "file.bin"}
        process = start_script("fetch_file.py", **asked)
        while server.bytes_sent < 200_000:
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        process.wait()
        assert not (tmp_path / "file.bin").exists()
        had = (tmp_path / ".download.file.bin").stat().st_size
        assert 0 < had < len(content)
        server.reset_counts()
        server.seconds_per_piece = 0
        assert start_script("fetch_file.py", **asked).wait() == 0
        assert [request.start for request in server.requests] == [had]
    assert (tmp_path / "file.bin").read_bytes() == content
    assert left_in(tmp_path) == ["file.bin", "file.bin.manifest.json"]
