"""Ranges that are asked for cover what is wanted, and little else."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.sources.ranges import coalesce, union

RANGES = st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 60)), max_size=40).map(
    lambda found: np.array([(start, start + size) for start, size in found], dtype=np.int64).reshape(-1, 2)
)


def covered(ranges: np.ndarray) -> set[int]:
    return {byte for start, stop in ranges.tolist() for byte in range(start, stop)}


@settings(deadline=None)
@given(RANGES)
def test_a_union_covers_the_same_bytes_once(ranges: np.ndarray) -> None:
    joined = union(ranges)
    assert covered(joined) == covered(ranges)
    assert (joined[:, 1] > joined[:, 0]).all()
    assert (joined[1:, 0] > joined[:-1, 1]).all()


@settings(max_examples=200, deadline=None)
@given(RANGES, st.sampled_from([0.0, 0.05, 0.5, 10.0]), st.integers(1, 300), st.integers(1, 400))
def test_what_is_asked_covers_what_is_wanted_within_the_waste(
    ranges: np.ndarray, waste: float, widest_gap: int, largest: int
) -> None:
    asked = coalesce(ranges, waste, widest_gap, largest, free_gap=0)
    wanted = covered(ranges)
    assert covered(asked) >= wanted
    sizes = asked[:, 1] - asked[:, 0]
    assert sizes.sum() == len(covered(asked))
    assert sizes.sum() <= len(wanted) * (1 + waste)
    assert (sizes > 0).all()
    assert (sizes <= largest).all()


def test_the_narrowest_gaps_are_read_over_first() -> None:
    ranges = np.array([[0, 100], [105, 200], [230, 330], [332, 400]])
    assert coalesce(ranges, waste=0.01, free_gap=0).tolist() == [[0, 100], [105, 200], [230, 400]]
    assert coalesce(ranges, waste=0.03, free_gap=0).tolist() == [[0, 200], [230, 400]]
    assert coalesce(ranges, waste=1.0, free_gap=0).tolist() == [[0, 400]]
    assert coalesce(ranges, waste=1.0, widest_gap=10, free_gap=0).tolist() == [[0, 200], [230, 400]]


def test_gaps_shorter_than_a_requests_headers_cost_nothing() -> None:
    ranges = np.array([[0, 10], [500, 510], [5000, 5010]])
    assert coalesce(ranges).tolist() == [[0, 510], [5000, 5010]]


def test_nothing_is_asked_for_nothing() -> None:
    assert coalesce(np.zeros((0, 2), dtype=np.int64)).shape == (0, 2)
