"""Intervals of pair statistics by the infinitesimal jackknife.

How a statistic changes when one perturbation counts a little more is had in closed form from one sort per
vector; its sum of squares is the statistic's variance (Jaeckel 1972; Efron 1982, chapter 6), but for a factor
that matters where perturbations are few (:func:`standard_error`). Resampling perturbations with replacement
instead repeats perturbations, whose copies share their noise: for noisy similarities that bootstrap
overstates the variance by a third. Simulations stand in ``docs/methods/perturbation.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from layerscope.statistics.ranks import average_ranks
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.tasks.perturbation.pairs import Pairs

Array = NDArray[np.float64]
LEVEL = 0.95


def spearman_influence(x: Array, y: Array, pairs: Pairs) -> tuple[float, Array]:
    """Spearman's correlation over pairs, and its derivative in the weight of every item.

    A pair weighs the product of its items' weights. Weights move the pair's own contribution and the average
    ranks of all other pairs; both are counted.

    Parameters
    ----------
    x, y
        Similarities of the pairs, shape ``(n_pairs,)``.

    Returns
    -------
    The correlation, and its influence, shape ``(n_items,)``, which sums to zero; NaN where a vector is
    constant.
    """
    u, below_x = _centred_ranks(x)
    v, below_y = _centred_ranks(y)
    xx, yy, xy = float(u @ u), float(v @ v), float(u @ v)
    if xx == 0 or yy == 0:
        return float("nan"), np.full(pairs.n_items, np.nan)
    scale = np.sqrt(xx * yy)
    correlation = xy / scale
    d_xy = u * v + below_x(v) + below_y(u)
    d_xx = u * u + 2 * below_x(u)
    d_yy = v * v + 2 * below_y(v)
    of_pair = d_xy / scale - correlation / 2 * (d_xx / xx + d_yy / yy)
    return correlation, pairs.by_item(of_pair)


def standard_error(influence: Array) -> float:
    """Standard error of a statistic of pairs from the influences of its items.

    The influences are centred on the sample, and every pair is shared by two items. For a statistic that is
    linear in its items their sum of squares is therefore only ``(n - 2)**2 / (n (n - 1))`` of the variance,
    88% for 24 items, 97% for 100; this is made good, as by the jackknife of a U-statistic (Arvesen 1969).

    Parameters
    ----------
    influence
        Derivative of the statistic in the weight of every item, shape ``(n_items,)``, three items or more.
    """
    return float(np.sqrt((influence**2).sum()) * _enlarged(len(influence)))


def interval(estimate: float, influence: Array, bounded: bool = True) -> tuple[float, float]:
    """Interval of 95% from the influences of the items.

    Parameters
    ----------
    estimate
        The statistic.
    influence
        Its derivative in the weight of every item, shape ``(n_items,)``.
    bounded
        Whether the statistic is a correlation, whose interval is taken on Fisher's z scale.

    Returns
    -------
    Lower and upper bound, with Student's t of ``n_items - 1`` degrees of freedom.
    """
    error = standard_error(influence) * stdtrit(len(influence) - 1, (1 + LEVEL) / 2)
    if not np.isfinite(error):
        return float("nan"), float("nan")
    low, high = _moved(estimate, np.array([-error, error]), bounded)
    return float(low), float(high)


def ratio_interval(
    estimates: tuple[float, float], influences: tuple[Array, Array]
) -> tuple[float, float] | None:
    """Interval of 95% of the ratio of two correlations of the same items.

    Fieller's (1954): all ratios ``r`` at which ``first - r * second`` is not distinguishable from 0. In place
    of variances stand the distances to each correlation's own bounds (Newcombe 2016, with the correlation of
    the two from their influences), so that the interval excludes 0 exactly where that of the first does.

    Parameters
    ----------
    estimates
        The correlations, the second above 0.
    influences
        Their derivatives in the weight of every item, each of shape ``(n_items,)``.

    Returns
    -------
    Lower and upper bound; None where the interval of the second includes 0, so that no bounds exist.
    """
    first, second = estimates
    (low, high), (least, most) = (
        interval(value, influence) for value, influence in zip(estimates, influences, strict=True)
    )
    if not least > 0:
        return None
    lengths = np.sqrt([influence @ influence for influence in influences])
    related = float(influences[0] @ influences[1] / lengths.prod()) if lengths.all() else 0.0

    def bound(error: float, of_second: float, side: int) -> float:
        a = second**2 - of_second**2
        b = first * second - related * error * of_second
        c = first**2 - error**2
        return float((b + side * np.sqrt(max(b**2 - a * c, 0.0))) / a)

    # at a bound below 0 the second's opposite end is the one that counts
    return (
        bound(first - low, most - second if low >= 0 else second - least, -1),
        bound(high - first, second - least if high >= 0 else most - second, 1),
    )


def linear_resamples(
    estimate: float,
    influence: Array,
    items: Sequence[str],
    used: Sequence[str],
    seed: int,
    n_resamples: int,
    bounded: bool = True,
) -> Array:
    """Values of the statistic in bootstrap resamples of the items, to first order, shape ``(n_resamples,)``.

    The draws are those of ``pairs.resample``, so that differences are paired; the
    moves are stretched and taken on the scale that :func:`interval` has, so that both agree.
    """
    column = {name: index for index, name in enumerate(items)}
    columns = [column[name] for name in used]
    stretch = _enlarged(len(used)) * stdtrit(len(used) - 1, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2)
    drawn: Iterator[NDArray[np.int32]] = bootstrap_counts(seed, items, n_resamples)
    moves = np.concatenate([(block[:, columns] - 1.0) @ influence for block in drawn])
    return _moved(estimate, stretch * moves, bounded)


def _enlarged(n_items: int) -> float:
    return float(np.sqrt(n_items * (n_items - 1)) / (n_items - 2))


def _moved(estimate: float, moves: Array, bounded: bool) -> Array:
    """The statistic moved by so much to first order; a correlation on Fisher's z scale."""
    if not bounded:
        return np.asarray(estimate + moves)
    if abs(estimate) >= 1:
        return np.full(len(moves), estimate)
    return np.asarray(np.tanh(np.arctanh(estimate) + moves / (1 - estimate**2)))


def _centred_ranks(values: Array) -> tuple[Array, _Below]:
    ranks = average_ranks(values)
    return ranks - (len(values) + 1) / 2, _Below(values)


class _Below:
    """Sum, for every entry, of another vector over the entries above it (half for those that tie)."""

    def __init__(self, values: Array) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._first = np.repeat(starts, np.diff(np.append(starts, len(values))))
        self._end = np.repeat(np.append(starts[1:], len(values)), np.diff(np.append(starts, len(values))))

    def __call__(self, other: Array) -> Array:
        upto: Array = np.concatenate([[0.0], np.cumsum(other[self._order])])
        above = upto[-1] - (upto[self._first] + upto[self._end]) / 2
        found = np.empty(len(above))
        found[self._order] = above
        return found
