"""What has been fetched is found again after a kill, and nothing that is torn is used."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.sources.parts import Parts
from layerscope.sources.transport import Version

FILE = bytes(range(256)) * 8
VERSION = Version(2048, '"1"', "Monday")
SPANS = st.lists(st.tuples(st.integers(0, 1990), st.integers(0, 300)), max_size=15)


def fetch(parts: Parts, *spans: tuple[int, int]) -> None:
    """Keep each span as one part; they may overlap."""
    for start, stop in spans:
        parts.add([(start, FILE[start:stop])])


def kept(parts: Parts) -> set[int]:
    missing = {byte for start, stop in parts.missing(0, 2048) for byte in range(start, stop)}
    return set(range(2048)) - missing


@settings(max_examples=60, deadline=None)
@given(spans=SPANS, asked=st.tuples(st.integers(0, 1990), st.integers(0, 500)))
def test_what_was_added_is_there_and_nothing_else(tmp_path_factory, spans, asked):
    folder = tmp_path_factory.mktemp("parts")
    parts = Parts(folder, "u", VERSION)
    added: set[int] = set()
    for start, size in spans:
        stop = min(start + size, 2048)
        fetch(parts, (start, stop))
        added |= set(range(start, stop))
    start, stop = asked[0], min(sum(asked), 2048)
    for again in (parts, Parts(folder, "u", VERSION)):
        assert kept(again) == added
        assert again.n_bytes == len(added)
        if set(range(start, stop)) <= added:
            assert again.read(start, stop) == FILE[start:stop]
        else:
            with pytest.raises(KeyError):
                again.read(start, stop)


@pytest.mark.parametrize("length", [0, 5, 40, 110])
def test_a_part_that_lost_its_end_is_not_used(tmp_path, length):
    parts = Parts(tmp_path, "u", VERSION)
    fetch(parts, (0, 100), (500, 700))
    torn = sorted(tmp_path.glob("*.part"))[1]
    torn.write_bytes(torn.read_bytes()[:length])
    again = Parts(tmp_path, "u", VERSION)
    assert kept(again) == set(range(100))
    fetch(again, (0, 700))
    assert Parts(tmp_path, "u", VERSION).read(0, 700) == FILE[:700]


@pytest.mark.parametrize(
    ("version", "url"),
    [(Version(2048, '"2"', "Monday"), "u"), (Version(1999, '"1"', "Monday"), "u"), (VERSION, "v")],
)
def test_another_version_or_file_starts_anew(tmp_path, version, url):
    fetch(Parts(tmp_path, "u", VERSION), (0, 100))
    assert Parts(tmp_path, url, version).n_bytes == 0
