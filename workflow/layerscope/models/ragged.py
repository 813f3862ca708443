"""Runs of entries, one after the other: run ``i`` of ``offsets`` is ``offsets[i]:offsets[i + 1]``."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer[Any]]


def offsets_of(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Where each of some runs of these lengths begins, and where the last ends: ``[0, l0, l0 + l1, ...]``."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def runs(starts: Integers, lengths: Integers) -> Integers:
    """The numbers from each start on, as many as its length, run after run."""
    return np.arange(lengths.sum()) + np.repeat(starts - offsets_of(lengths)[:-1], lengths)


def order_within(offsets: Integers, keys: npt.NDArray[Any]) -> Integers:
    """Indices that sort each run of the keys, equal ones as they stand.

    Run by run, because that stays in cache: a lexical sort of all at once takes several times as long.
    """
    order = np.empty(len(keys), dtype=np.int64)
    for start, stop in pairwise(offsets.tolist()):
        order[start:stop] = start + np.argsort(keys[start:stop], kind="stable")
    return order
