"""Archives are opened as if they meant harm."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tar_files import tar_of

from layerscope.errors import SourceError
from layerscope.sources.addresses import Expected
from layerscope.sources.archives import extract_member


def archive(path: Path, mode: str = "w", **members: bytes | tarfile.TarInfo) -> Path:
    path.write_bytes(tar_of(members, mode))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_member_is_taken_out_by_name(tmp_path, mode):
    source = archive(tmp_path / "a.tar", mode, one=b"1", two=b"22")
    extract_member(source, "./two", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"22"


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil"])
def test_a_name_is_never_used_as_a_path(tmp_path, name):
    extract_member(archive(tmp_path / "a.tar", **{name: b"1"}), name, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "out"]
    assert (tmp_path / "out").read_bytes() == b"1"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    source = archive(tmp_path / "a.tar", x=special("x", kind, "/etc/passwd"))
    with pytest.raises(SourceError, match="'x' is a link"):
        extract_member(source, "x", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_truncated_archive_leaves_nothing(tmp_path, mode):
    source = archive(tmp_path / "a.tar", mode, one=bytes(range(256)) * 400)
    source.write_bytes(source.read_bytes()[:600])
    with pytest.raises(SourceError, match="truncated or damaged"):
        extract_member(source, "one", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_a_member_in_another_folder_is_taken_if_it_is_the_only_one_of_its_name(tmp_path, caplog):
    names = {"release/config.json": b"1", "release/a/x": b"2", "release/b/x": b"3"}
    source = archive(tmp_path / "a.tar", **names)
    extract_member(source, "other/config.json", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"1"
    assert "release/config.json" in caplog.text
    with pytest.raises(SourceError, match=r".x..*release/config\.json"):
        extract_member(source, "x", tmp_path / "out")
    with pytest.raises(SourceError, match="expected 5 bytes, found 1"):
        extract_member(source, "other/config.json", tmp_path / "out", Expected(size=5))
