"""What has been fetched is found again after a kill, and nothing that is torn or wrong is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.sources.range_store import RangeStore
from layerscope.sources.transport import Version

FILE = np.random.default_rng(0).bytes(2000)
VERSION = Version(2000, '"1"', "Monday")
PARTS = st.lists(st.tuples(st.integers(0, 1990), st.integers(0, 300)), max_size=15)


def opened(folder: Path, version: Version = VERSION, url: str = "u") -> RangeStore:
    return RangeStore(folder / "store", url, version)


def stored_bytes(store: RangeStore) -> set[int]:
    holes = {byte for start, stop in store.missing(0, 2000) for byte in range(start, stop)}
    return set(range(2000)) - holes


@settings(max_examples=60, deadline=None)
@given(parts=PARTS, asked=st.tuples(st.integers(0, 1990), st.integers(0, 500)))
def test_what_was_added_is_there_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    folder = tmp_path_factory.mktemp("store")
    added: set[int] = set()
    with opened(folder) as store:
        for start, size in parts:
            store.add(start, FILE[start : start + size])
            added |= set(range(start, min(start + size, 2000)))
        assert stored_bytes(store) == added
        assert store.stored == len(added)
    with opened(folder) as again:
        assert stored_bytes(again) == added
        assert again.resumed == len(added)
        start, stop = asked[0], min(sum(asked), 2000)
        if set(range(start, stop)) <= added:
            assert again.read(start, stop) == FILE[start:stop]
        else:
            with pytest.raises(KeyError):
                again.read(start, stop)


@settings(max_examples=60, deadline=None)
@given(parts=PARTS, cut=st.integers(0, 4000), journal_cut=st.integers(0, 900))
def test_a_kill_at_any_moment_leaves_only_right_bytes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]], cut: int, journal_cut: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    with opened(folder) as store:
        for start, size in parts:
            store.add(start, FILE[start : start + size])
    for name, length in (("store", cut), ("store.journal", journal_cut)):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: max(len(content) - length % 200, 0)])
    with opened(folder) as again:
        for start, stop, *_ in again._parts:
            assert again.read(start, stop) == FILE[start:stop]
        again.add(0, FILE)
        assert again.read(0, 2000) == FILE
    with opened(folder) as last:
        assert last.read(0, 2000) == FILE


def test_bytes_that_rotted_on_the_disk_are_not_used(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add(0, FILE[:100])
        store.add(500, FILE[500:700])
    content = bytearray((tmp_path / "store").read_bytes())
    content[150] ^= 1
    (tmp_path / "store").write_bytes(bytes(content))
    with opened(tmp_path) as again:
        assert again.missing(0, 700) == [(100, 700)]


@pytest.mark.parametrize(
    ("version", "url"),
    [(Version(2000, '"2"', "Monday"), "u"), (Version(1999, '"1"', "Monday"), "u"), (VERSION, "other")],
)
def test_another_version_or_file_starts_anew(tmp_path: Path, version: Version, url: str) -> None:
    with opened(tmp_path) as store:
        store.add(0, FILE[:100])
    with opened(tmp_path, version, url) as again:
        assert again.stored == 0


def test_what_is_forgotten_stays_forgotten(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for start in range(0, 500, 100):
            store.add(start, FILE[start : start + 100])
        store.forget(np.array([[150, 160], [390, 410]]))
        assert store.missing(0, 500) == [(100, 200), (300, 500)]
        store.add(100, FILE[100:200])
    with opened(tmp_path) as again:
        assert again.missing(0, 500) == [(300, 500)]
        assert again.read(0, 300) == FILE[:300]


def test_a_journal_of_nonsense_starts_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.add(0, FILE[:100])
    (tmp_path / "store.journal").write_bytes(b"\xff\xfe nonsense\n[1, 2]\n")
    with opened(tmp_path) as again:
        assert again.stored == 0


def test_it_can_be_removed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.add(0, FILE[:100])
    store.remove()
    assert list(tmp_path.iterdir()) == []
