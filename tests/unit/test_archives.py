"""Archives are opened as if they meant harm."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from fault_server import FaultServer
from layerscope.errors import SourceError
from layerscope.sources.addresses import Address
from layerscope.sources.archives import extract_member, gunzip
from layerscope.sources.download import download
from layerscope.sources.manifest import read_manifest


def archive(path: Path, mode: str = "w", **members: bytes | tarfile.TarInfo) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(content, tarfile.TarInfo) else content
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_member_is_taken_out_by_name(tmp_path: Path, mode: str) -> None:
    source = archive(tmp_path / "a.tar", mode, one=b"1", two=b"22")
    extract_member(source, "./two", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"22"


def test_a_name_is_never_used_as_a_path(tmp_path: Path) -> None:
    for name in ("/etc/evil", "../evil", "a/../../evil"):
        source = archive(tmp_path / "a.tar", **{name: b"1"})
        with pytest.raises(SourceError, match="its path leads out of the archive"):
            extract_member(source, name, tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "it is a link"),
        (tarfile.LNKTYPE, "it is a link"),
        (tarfile.FIFOTYPE, "no regular file"),
    ],
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes, words: str) -> None:
    source = archive(tmp_path / "a.tar", x=special("x", kind, "/etc/passwd"))
    with pytest.raises(SourceError, match=words):
        extract_member(source, "x", tmp_path / "out")


def test_sizes_have_limits(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", x=b"0" * 100)
    with pytest.raises(SourceError, match="holds 100 B, more than 99 B"):
        extract_member(source, "x", tmp_path / "out", largest=99)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"0" * 10_000_000))
    with pytest.raises(SourceError, match="holds more than 5 MB"):
        gunzip(tmp_path / "b.gz", tmp_path / "out", largest=5_000_000)
    assert not (tmp_path / "out").exists()


def test_a_member_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", one=b"1", two=b"2")
    with pytest.raises(SourceError, match="no member 'three'; there are one, two"):
        extract_member(source, "three", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive_leaves_nothing(tmp_path: Path, mode: str) -> None:
    source = archive(tmp_path / "a.tar", mode, one=bytes(range(256)) * 400)
    source.write_bytes(source.read_bytes()[:600])
    with pytest.raises(SourceError, match="truncated or damaged archive"):
        extract_member(source, "one", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_a_member_of_a_remote_archive_becomes_the_file(tmp_path: Path) -> None:
    source = archive(tmp_path / "a.tar", one=b"1", two=b"22")
    with FaultServer({"/a.tar": source.read_bytes()}) as server:
        url = f"{server.url}/a.tar"
        download(Address(url, url), tmp_path / "two", member="two")
        assert (tmp_path / "two").read_bytes() == b"22"
        assert read_manifest(tmp_path / "two")["member"] == "two"
        server.reset_counts()
        download(Address(url, url), tmp_path / "two", member="two")
        assert server.requests == []
        download(Address(url, url), tmp_path / "two", member="one")
        assert (tmp_path / "two").read_bytes() == b"1"
