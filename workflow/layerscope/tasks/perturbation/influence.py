"""Intervals of pair statistics by the infinitesimal jackknife (Jaeckel 1972; Efron 1982, chapter 6).

How Spearman's correlation changes when one perturbation counts a little more has a closed form. The sum of
squares of these influences is the variance, but for a factor that matters where perturbations are few
(:func:`standard_error`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from layerscope.arrays import Floating, Floats
from layerscope.statistics.intervals import UPPER_QUANTILE
from layerscope.tasks.perturbation.pairs import Draws, pairs_by_row


@dataclass(frozen=True)
class Estimate:
    """A correlation over pairs of items, and its derivative in every item's weight; NaN if there is none."""

    value: float
    influence: Floats  # (n_items,)

    @classmethod
    def mean(cls, estimates: Sequence[Estimate]) -> Estimate:
        """The mean of several correlations of the same items."""
        return cls(
            float(np.mean([one.value for one in estimates])),
            np.mean([one.influence for one in estimates], axis=0),
        )


class RankedPairs:
    """Values above a diagonal, row by row, fewer than 2**30; ``centred``: average ranks minus their mean."""

    def __init__(self, values: Floating) -> None:
        n_pairs = len(values)
        self._order = np.argsort(values, kind="stable").astype(np.int32)
        ordered = values[self._order]
        is_last = np.append(ordered[1:] != ordered[:-1], True)
        # of each distinct value its last place in the order; of each pair the number of its distinct value
        self._last = np.flatnonzero(is_last).astype(np.int32)
        self._distinct = np.empty(n_pairs, dtype=np.int32)
        self._distinct[self._order] = np.cumsum(is_last, dtype=np.int32) - is_last
        first = np.append(0, self._last[:-1] + 1)
        self.centred = ((first + self._last + 1 - n_pairs) / 2)[self._distinct]

    def above(self, values: Floats) -> Floats:
        """For every pair, the sum of ``values`` over the pairs ranked above, and half of it over ties."""
        ordered = values[self._order]
        total = np.cumsum(ordered, out=ordered)[-1]
        above = ordered[self._last]
        del ordered  # at genome scale such a vector takes 650 MB
        np.subtract(total, above, out=above)
        above /= 2
        above[1:] += above[:-1]
        above[0] += total / 2
        return np.asarray(above[self._distinct])


def spearman_influence(x: RankedPairs, y: RankedPairs, n_items: int) -> Estimate:
    """Spearman's correlation over the pairs of ``n_items`` items, and the influence of every item.

    A pair weighs the product of its items' weights. Weights move the pair's own contribution and the average
    ranks of all other pairs; both are counted. The influences sum to zero; they, and the value, are NaN where
    a vector is constant.
    """
    u, v = x.centred, y.centred
    xx, yy, xy = float(u @ u), float(v @ v), float(u @ v)
    if xx == 0 or yy == 0:
        return Estimate(float("nan"), np.full(n_items, np.nan))
    scale = np.sqrt(xx * yy)
    correlation = xy / scale
    # one vector of pairs at a time: at genome scale each fills a part of the memory
    of_pair = u * v
    of_pair += x.above(v)
    of_pair += y.above(u)
    of_pair /= scale
    for ranked, total in ((x, xx), (y, yy)):
        own = ranked.above(ranked.centred)
        own += ranked.centred**2 / 2
        of_pair -= correlation / total * own
    influence = np.zeros(n_items)
    for item, row in enumerate(pairs_by_row(of_pair, n_items)):
        influence[item] += row.sum()
        influence[item + 1 :] += row
    return Estimate(correlation, influence)


def standard_error(influence: Floats) -> float:
    """Standard error of a statistic of pairs from the influences of its items (three or more).

    The influences are centred on the sample, and every pair is shared by two items. For a statistic that is
    linear in its items their sum of squares is therefore only ``(n - 2)**2 / (n (n - 1))`` of the variance,
    88% for 24 items, 97% for 100; this is made good, as by the jackknife of a U-statistic (Arvesen 1969).
    """
    return float(np.sqrt((influence**2).sum()) * _enlargement(len(influence)))


def interval(estimate: Estimate) -> tuple[float, float]:
    """Interval of 95% on Fisher's z scale, with Student's t of ``n_items - 1`` degrees of freedom."""
    n_items = len(estimate.influence)
    error = standard_error(estimate.influence) * stdtrit(n_items - 1, UPPER_QUANTILE)
    if not np.isfinite(error):
        return float("nan"), float("nan")
    low, high = _moved(estimate.value, np.array([-error, error]))
    return float(low), float(high)


def ratio_interval(first: Estimate, second: Estimate) -> tuple[float, float] | None:
    """Interval of 95% of the ratio of two correlations; None if that of the second is not above 0.

    Fieller's (1954): all ratios ``r`` at which ``first - r * second`` is not distinguishable from 0. In place
    of variances stand the distances to each correlation's own bounds (Newcombe 2016, with the correlation of
    the two from their influences), so that the interval excludes 0 exactly where that of the first does.
    """
    (low, high), (least, most) = interval(first), interval(second)
    if not least > 0:
        return None
    lengths = np.linalg.norm(first.influence) * np.linalg.norm(second.influence)
    related = float(first.influence @ second.influence / lengths) if lengths else 0.0

    def bound(error: float, error_of_second: float, side: int) -> float:
        a = second.value**2 - error_of_second**2
        b = first.value * second.value - related * error * error_of_second
        c = first.value**2 - error**2
        return float((b + side * np.sqrt(max(b**2 - a * c, 0.0))) / a)

    # at a bound below 0 the second's opposite end is the one that counts
    above, below = most - second.value, second.value - least
    return (
        bound(first.value - low, above if low >= 0 else below, -1),
        bound(high - first.value, below if high >= 0 else above, 1),
    )


def linear_resamples(estimate: Estimate, draws: Draws) -> Floats:
    """Values of the correlation in bootstrap resamples to first order, on the scale of :func:`interval`."""
    n_items = len(estimate.influence)
    stretch = _enlargement(n_items) * stdtrit(n_items - 1, UPPER_QUANTILE) / ndtri(UPPER_QUANTILE)
    moves = np.concatenate([(counts - 1.0) @ estimate.influence for counts in draws.bootstrap()])
    return _moved(estimate.value, stretch * moves)


def _enlargement(n_items: int) -> float:
    return float(np.sqrt(n_items * (n_items - 1)) / (n_items - 2))


def _moved(correlation: float, moves: Floats) -> Floats:
    """The correlation moved by so much to first order, on Fisher's z scale."""
    if abs(correlation) >= 1:
        return np.full(len(moves), correlation)
    return np.asarray(np.tanh(np.arctanh(correlation) + moves / (1 - correlation**2)))
