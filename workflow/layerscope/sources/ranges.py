"""Byte ranges: which to ask for, so that neither requests nor unwanted bytes pile up."""

from __future__ import annotations

import numpy as np

WASTE = 0.03
FREE_GAP = 1 << 10
WIDEST_GAP = 1 << 17
LARGEST = 1 << 23


def coalesce(
    ranges: np.ndarray,
    waste: float = WASTE,
    widest_gap: int = WIDEST_GAP,
    largest: int = LARGEST,
    free_gap: int = FREE_GAP,
) -> np.ndarray:
    """Join ranges that lie near each other, and cut those that are too long for one request.

    A request costs about as much time as the bytes of a small gap, so gaps are read over: those that are no
    longer than the headers of a request, and of the others the narrowest, until the unwanted bytes reach a
    share of the wanted ones.

    Parameters
    ----------
    ranges
        First byte and the byte after the last, shape ``(n_ranges, 2)``, in any order, overlapping or not.
    waste
        Unwanted bytes allowed beside those of free gaps, as a share of the wanted ones.
    widest_gap
        Gaps wider than this are never read over, in bytes.
    largest
        Bytes of the longest range that is asked for at once.
    free_gap
        Gaps up to this are always read over, in bytes.

    Returns
    -------
    Ranges that cover all that were given, ascending, without overlap, shape ``(n_requests, 2)``, int64.
    """
    joined = union(ranges)
    if not len(joined):
        return joined
    gaps = joined[1:, 0] - joined[:-1, 1]
    order = np.argsort(gaps, kind="stable")
    budget = waste * int((joined[:, 1] - joined[:, 0]).sum())
    costly = np.where(gaps[order] > free_gap, gaps[order], 0)
    read_over = np.zeros(len(gaps), dtype=bool)
    read_over[order] = (costly == 0) | ((np.cumsum(costly) <= budget) & (costly <= widest_gap))
    starts = joined[np.concatenate([[True], ~read_over]), 0]
    stops = joined[np.concatenate([~read_over, [True]]), 1]
    return _cut(starts, stops, largest)


def union(ranges: np.ndarray) -> np.ndarray:
    """Ranges that cover the same bytes, ascending, none touching another; empty ones are dropped."""
    ranges = np.asarray(ranges, dtype=np.int64).reshape(-1, 2)
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    if not len(ranges):
        return ranges
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    reach = np.maximum.accumulate(ranges[:, 1])
    first = np.concatenate([[True], ranges[1:, 0] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.column_stack([ranges[first, 0], reach[last]])


def _cut(starts: np.ndarray, stops: np.ndarray, largest: int) -> np.ndarray:
    pieces = np.maximum(-(-(stops - starts) // largest), 1)
    piece = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first = np.repeat(starts, pieces) + piece * largest
    return np.column_stack([first, np.minimum(first + largest, np.repeat(stops, pieces))])
