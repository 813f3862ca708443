"""Rank correlations, plain and under resampling weights, from numpy alone.

Importing scipy.stats would double the second in which a scoring job starts; the tests hold these against it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floating, Floats, Integers, Ints


def average_ranks(values: npt.ArrayLike) -> Floats:
    """Ranks from 1 along the last axis, ties sharing their average, shape of ``values`` (no NaN)."""
    values = np.asarray(values)
    order = np.argsort(values, axis=-1)
    first, last = tied_places(np.take_along_axis(values, order, axis=-1))
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=-1)
    return ranks


def tied_places(ascending: npt.NDArray[np.generic]) -> tuple[Ints, Ints]:
    """Places of the first and of the last value that equals each, along the last axis of sorted values."""
    place = np.arange(ascending.shape[-1])
    starts, ends = np.ones((2, *ascending.shape), dtype=bool)
    starts[..., 1:] = ascending[..., 1:] != ascending[..., :-1]
    ends[..., :-1] = starts[..., 1:]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=-1)
    last = np.where(ends, place, len(place))
    return first, np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]


def pearson(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Pearson's correlation of two vectors; NaN if either is constant."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first @ first) * (second @ second))
    return float(np.clip(first @ second / scale, -1, 1)) if scale > 0 else float("nan")


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation with average ranks; NaN if either vector is constant."""
    x, y = np.asarray(x), np.asarray(y)
    if x.size < 2 or (x == x[0]).all() or (y == y[0]).all():
        return float("nan")
    return pearson(average_ranks(x), average_ranks(y))


def spearman_by_row(values: Floating, target: Floating) -> Floats:
    """Spearman's correlation of every row with a target, over the items where both are finite.

    NaN where the row or the target is constant over these items. Shape ``(n_rows,)``.
    """
    both = np.isfinite(values) & np.isfinite(target)
    middle = (both.sum(axis=1, keepdims=True) + 1) / 2
    # what is infinite ranks last, and changes no other rank
    x, y = (
        np.where(both, average_ranks(np.where(both, side, np.inf)) - middle, 0) for side in (values, target)
    )
    scale = np.sqrt(np.einsum("ij,ij->i", x, x) * np.einsum("ij,ij->i", y, y))
    with np.errstate(invalid="ignore"):
        correlation: Floats = np.einsum("ij,ij->i", x, y) / np.where(scale > 0, scale, np.nan)
    return np.clip(correlation, -1, 1)


class WeightedSpearman:
    """Spearman's correlation of two fixed vectors, finite, in many resamples given as counts of the items.

    Equal to that of the resampled vectors written out in full. Sorting is done once.
    """

    def __init__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        self._x = _Ranker(np.asarray(x))
        self._y = _Ranker(np.asarray(y))
        self._from_y_order = self._y.place[self._x.order]

    def __call__(self, counts: Integers) -> Floats:
        """Correlation in each resample; NaN where a vector is constant."""
        weight = counts[:, self._x.order].astype(np.float64)
        x = self._x.ranks(weight)
        y = self._y.ranks(counts[:, self._y.order].astype(np.float64))[:, self._from_y_order]
        middle = (counts.sum(axis=1, dtype=np.float64)[:, None] + 1) / 2
        x -= middle
        y -= middle
        weighted = weight * x
        covariance = np.einsum("ij,ij->i", weighted, y)
        spread_x = np.einsum("ij,ij->i", weighted, x)
        np.multiply(weight, y, out=weighted)
        spread_y = np.einsum("ij,ij->i", weighted, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            correlation: Floats = covariance / np.sqrt(spread_x * spread_y)
        return np.clip(correlation, -1, 1)


class _Ranker:
    """Average ranks of a fixed vector under weights, in the vector's sorted order."""

    def __init__(self, values: npt.NDArray[np.generic]) -> None:
        self.order = np.argsort(values, kind="stable")
        self.place = np.empty_like(self.order)
        self.place[self.order] = np.arange(len(values))
        ordered = values[self.order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._tied = len(starts) < len(values)
        self._group = np.cumsum(np.isin(np.arange(len(values)), starts)) - 1
        self._last = np.append(starts[1:], len(values)) - 1

    def ranks(self, ordered_counts: Floats) -> Floats:
        """Ranks in each resample, shape of ``ordered_counts`` (whose columns are in sorted order)."""
        upto = np.cumsum(ordered_counts, axis=1)
        if not self._tied:
            upto -= (ordered_counts - 1) / 2
            return upto
        upto = upto[:, self._last]
        size = np.diff(upto, axis=1, prepend=0.0)
        ranks: Floats = (upto - (size - 1) / 2)[:, self._group]
        return ranks
