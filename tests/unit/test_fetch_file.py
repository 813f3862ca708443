"""What a study says about a file is carried out, or refused with the key to mend."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import run_python
from tar_files import tar_of

import fetch_file
from fault_server import FaultServer
from layerscope.errors import ConfigError, SourceError
from layerscope.sources.fetch import fetch
from layerscope.sources.manifest import md5, read_manifest, sha256
from layerscope.sources.transport import NoSuchFileError


def test_the_script_fetches_through_a_mirror(tmp_path):
    path = "/ftp.ncbi.nlm.nih.gov/geo/series/GSE276nnn/GSE276896/suppl/a.txt"
    settings = json.dumps({"geo": {"accession": "GSE276896", "file": "a.txt"}, "bytes": 5})
    with FaultServer({path: b"cells"}) as server:
        fetch_file.main(["--settings", settings, "--output", str(tmp_path / "a.txt"), "--mirror", server.url])
    assert (tmp_path / "a.txt").read_text() == "cells"
    manifest = json.loads((tmp_path / "a.txt.manifest.json").read_text())
    assert manifest["url"].startswith("https://ftp.ncbi.nlm.nih.gov/geo/")
    assert manifest["fetched_from"].startswith("http://127.0.0.1")


def test_whole_files_need_no_asynchronous_client():
    looks = "import layerscope.sources.fetch, sys; sys.exit(bool({'fsspec', 'aiohttp'} & set(sys.modules)))"
    run_python("-c", looks)


SUPPLEMENT = "/ftp.ncbi.nlm.nih.gov/geo/series/GSE276nnn/GSE276896/suppl"


@pytest.mark.parametrize(("named", "there"), [("a.h5ad", "a.h5ad.gz"), ("a.h5ad.gz", "a.h5ad")])
def test_a_file_at_geo_may_be_compressed_or_not(tmp_path, named, there):
    content = gzip.compress(b"cells") if there.endswith(".gz") else b"cells"
    settings = {"geo": {"accession": "GSE276896", "file": named}}
    with FaultServer({f"{SUPPLEMENT}/{there}": content}) as server:
        fetch(settings, tmp_path / "a.h5ad", server.url)
        assert (tmp_path / "a.h5ad").read_bytes() == b"cells"
        n_requests = len(server.requests)
        fetch(settings, tmp_path / "a.h5ad", server.url)
        assert [request.path for request in server.requests[n_requests:]] == [f"{SUPPLEMENT}/{named}"]
        with pytest.raises(NoSuchFileError, match=rf"suppl/{named}: no such file"):
            fetch({**settings, "bytes": 5}, tmp_path / "b.h5ad", server.url)


def test_a_local_path_replaces_the_download(tmp_path):
    (tmp_path / "mine.bin").write_bytes(b"cells")
    output = tmp_path / "resources" / "file.bin"
    fetch({"path": str(tmp_path / "mine.bin"), "bytes": 5}, output)
    assert output.is_symlink()
    assert output.read_bytes() == b"cells"
    fetch({"path": str(tmp_path / "mine.bin")}, output)
    fetch({"path": str(tmp_path / "mine.bin")}, tmp_path / "mine.bin")
    assert (tmp_path / "mine.bin").read_bytes() == b"cells"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"path": "absent.bin"}, "there is no file 'absent.bin'"),
        ({"path": __file__, "bytes": 3}, "expected 3 bytes, found"),
        ({"path": __file__, "sha256": "ab"}, "expected the sha256 ab, found"),
        ({"url": "https://host/f", "sha265": "ab"}, "unknown key 'sha265'"),
        (
            {"url": "https://host/f", "licence": "research", "accepted": False, "model": "scgpt"},
            r"scgpt: its weights .* licence: research.*'scgpt' to accepted_licences .*nothing was fetched",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, settings, words):
    with pytest.raises((ConfigError, SourceError), match=words):
        fetch(settings, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_taken_out_of_an_archive_that_is_here(tmp_path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(tar_of({"model/config.json": b"{}"}))
    source = {"path": str(archive), "member": "model/config.json"}
    fetch({**source, "md5": md5(archive)}, tmp_path / "out" / "config.json")
    assert (tmp_path / "out" / "config.json").read_text() == "{}"
    with pytest.raises(SourceError, match="expected the md5 0000"):
        fetch({**source, "md5": "0" * 32}, tmp_path / "out" / "config.json")


LAB, MIRROR = "/lab.org/model.pt", "/bucket.s3.amazonaws.com/m/best.pt"
WEIGHTS, OTHER = b"the weights", b"other bytes"
TWO_PLACES = {"url": "https://lab.org/model.pt", "alternatives": [{"url": "s3://bucket/m/best.pt"}]}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("files", "known", "comes_from"),
    [
        ({LAB: WEIGHTS, MIRROR: OTHER}, {}, LAB),
        ({MIRROR: WEIGHTS}, {}, MIRROR),
        ({LAB: OTHER, MIRROR: WEIGHTS}, {"sha256": digest(WEIGHTS)}, MIRROR),
        ({LAB: b"short", MIRROR: WEIGHTS}, {"bytes": len(WEIGHTS)}, MIRROR),
    ],
)
def test_alternatives_are_asked_in_order_and_nothing_is_fetched_twice(tmp_path, files, known, comes_from):
    output = tmp_path / "best_model.pt"
    with FaultServer(files) as server:
        for _ in range(2):
            fetch({**TWO_PLACES, **known}, output, server.url)
            assert output.read_bytes() == WEIGHTS
        asked = [request.path for request in server.requests]
    assert asked == [LAB, MIRROR][: 1 + (comes_from == MIRROR)]
    assert read_manifest(output)["url"].endswith(comes_from)


def test_where_no_place_has_the_file_all_are_named(tmp_path):
    with FaultServer({MIRROR: OTHER}) as server, pytest.raises(SourceError) as refused:
        fetch({**TWO_PLACES, "sha256": digest(WEIGHTS)}, tmp_path / "best_model.pt", server.url)
    assert LAB in str(refused.value) and MIRROR in str(refused.value) and digest(OTHER) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [LAB, MIRROR])
def test_another_file_than_before_is_told_unless_the_study_pins_it(tmp_path, caplog, place):
    output = tmp_path / "model.pt"
    caplog.set_level(logging.WARNING)

    def fetched(files: dict[str, bytes], **known: str) -> bool:
        """Whether a fetch says that another file came."""
        output.unlink(missing_ok=True)
        caplog.clear()
        with FaultServer(files) as server:
            fetch({**TWO_PLACES, **known}, output, server.url)
        return digest(WEIGHTS) in caplog.text and digest(OTHER) in caplog.text

    assert not fetched({LAB: WEIGHTS})
    assert not fetched({LAB: WEIGHTS})
    assert fetched({place: OTHER})
    manifest = read_manifest(output)
    assert (manifest["sha256"], manifest["before"]["sha256"]) == (digest(OTHER), digest(WEIGHTS))
    assert not fetched({LAB: WEIGHTS}, sha256=digest(WEIGHTS))
    assert read_manifest(output)["before"]["sha256"] == digest(OTHER)


@pytest.mark.parametrize("remote", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"member_sha256": digest(OTHER)}, {"member_bytes": 3}, {"sha256": "0" * 64}]
)
def test_a_file_in_an_archive_has_a_checksum_of_its_own(tmp_path, remote, wrong):
    archive, output = tar_of({"weights": WEIGHTS}), tmp_path / "out" / "weights"
    (tmp_path / "a.tar.gz").write_bytes(archive)
    place = {"url": "https://lab.org/a.tar.gz"} if remote else {"path": str(tmp_path / "a.tar.gz")}
    right = {"member_sha256": digest(WEIGHTS), "member_bytes": len(WEIGHTS), "sha256": digest(archive)}
    with FaultServer({"/lab.org/a.tar.gz": archive}) as server:
        with pytest.raises(SourceError, match="expected"):
            fetch({**place, "member": "weights", **wrong}, output, server.url)
        assert not output.exists()
        assert not list(tmp_path.glob("out/.download*"))
        fetch({**place, "member": "weights", **right}, output, server.url)
    assert output.read_bytes() == WEIGHTS
    assert read_manifest(output)["sha256"] == digest(WEIGHTS)


def test_a_file_of_yours_has_a_manifest_where_its_checksum_is_stated(tmp_path):
    mine, output = tmp_path / "mine.pt", tmp_path / "resources" / "model.pt"
    mine.write_bytes(WEIGHTS)
    fetch({"path": str(mine), "sha256": sha256(mine)}, output)
    assert read_manifest(output)["sha256"] == digest(WEIGHTS)
    fetch({"path": str(mine)}, output)
    assert read_manifest(output) == {}


RELEASE = {"weights": WEIGHTS, "config": b"{}", "vocabulary": b"[]"}


def test_the_files_of_one_archive_are_fetched_with_it_once(tmp_path):
    archive = tar_of({f"release/{name}": content for name, content in RELEASE.items()})
    place = {"url": "https://lab.org/a.tar.gz", "together": list(RELEASE)}

    def fetched(name: str, mirror: str) -> None:
        fetch({**place, "member": f"release/{name}"}, tmp_path / name, mirror)

    with FaultServer({"/lab.org/a.tar.gz": archive}) as server, ThreadPoolExecutor() as pool:
        list(pool.map(fetched, RELEASE, [server.url] * len(RELEASE)))
        assert len(server.requests) == 1
        assert {name: (tmp_path / name).read_bytes() for name in RELEASE} == RELEASE
        assert not [path for path in tmp_path.iterdir() if archive == path.read_bytes()]
        (tmp_path / "config").unlink()
        fetched("config", server.url)
        fetched("config", server.url)
        assert len(server.requests) == 2
    assert not [path for path in tmp_path.iterdir() if archive == path.read_bytes()]


def test_the_files_of_an_archive_with_checksums_of_both_are_not_fetched_twice(tmp_path):
    archive = tar_of({"weights": WEIGHTS})
    known = {"sha256": digest(archive), "member": "weights", "member_sha256": digest(WEIGHTS)}
    (tmp_path / "weights").write_bytes(WEIGHTS)  # put there by hand
    with FaultServer({}) as server:
        for _ in range(2):
            fetch({"url": "https://lab.org/a.tar.gz", **known}, tmp_path / "weights", server.url)
        assert not server.requests
