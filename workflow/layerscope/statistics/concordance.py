"""Do two orders of items agree? Stratified Kendall and Somers, and Spearman, with their influence values.

An influence value says how much an item moves a statistic. Bootstrap values follow from them by one product
with the resampling counts (the first-order, or infinitesimal-jackknife, bootstrap: Efron & Tibshirani 1993,
section 20.3; exact up to terms of order 1 / n for these U-statistics), so that many statistics of many items
are resampled at the price of one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.statistics.ranks import average_ranks

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class OrderConcordance:
    """Pairs of items of one stratum, counted item by item, for one or many orders of the same items.

    Attributes
    ----------
    agreeing
        Concordant minus discordant pairs that an item is in, shape ``(n_items, n_orders)``.
    ordered
        Pairs with different finite values that it is in, shape ``(n_items, n_orders)``.
    labelled
        Pairs with different labels that it is in, shape ``(n_items,)``.
    """

    agreeing: Floats
    ordered: Floats
    labelled: Floats

    def somers_d(self, counts: npt.ArrayLike | None = None) -> Floats:
        """Somers' D of the values given the labels: the share of concordant minus that of discordant pairs.

        Among the pairs with different labels; 1 is reached when values separate the labels, however coarse
        these are. Pairs in which a value is infinite count as neither concordant nor discordant.

        Parameters
        ----------
        counts
            How often each item is drawn in each resample, shape ``(n_resamples, n_items)``; None for the
            items as they are.

        Returns
        -------
        Shape ``(n_resamples, n_orders)``, or ``(n_orders,)`` without counts; NaN if no two items of a stratum
        have different labels.
        """
        weights = _weights(counts)
        return _ratio(_pairs(self.agreeing, weights), _pairs(self.labelled, weights)[..., None])

    def tau_b(self, counts: npt.ArrayLike | None = None) -> Floats:
        """Kendall's tau-b (see :meth:`somers_d` for the parameter and what is returned)."""
        weights = _weights(counts)
        product = _pairs(self.labelled, weights)[..., None] * _pairs(self.ordered, weights)
        return _ratio(_pairs(self.agreeing, weights), np.sqrt(np.maximum(product, 0)))


def order_concordance(values: npt.ArrayLike, labels: Integers, strata: Integers) -> OrderConcordance:
    """Count, for every item, the pairs of its stratum in which values and labels go the same way.

    Parameters
    ----------
    values
        Shape ``(n_orders, n_items)``; an infinite value is tied with every other.
    labels
        Ordered labels as whole numbers, shape ``(n_items,)``.
    strata
        Items of different strata are not compared, shape ``(n_items,)``.
    """
    values = np.atleast_2d(np.asarray(values))
    labelled = np.zeros(values.shape[1])
    agreeing, ordered = np.zeros((2, *values.T.shape))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        own, here = labels[members], values[:, members]
        for label in np.unique(own):
            labelled[members] += np.where(own != label, (own == label).sum(), 0)
            for order, of_order in enumerate(here):
                finite = np.isfinite(of_order)
                others = np.sort(of_order[finite & (own == label)])
                below = np.searchsorted(others, of_order, side="left")
                above = len(others) - np.searchsorted(others, of_order, side="right")
                agreeing[members, order] += np.where(finite, np.sign(label - own) * (above - below), 0)
                ordered[members, order] += np.where(finite, above + below, 0)
    return OrderConcordance(agreeing, ordered, labelled)


def _weights(counts: npt.ArrayLike | None) -> Floats | None:
    return None if counts is None else np.asarray(counts, dtype=np.float64) - 1


def _pairs(of_items: Floats, weights: Floats | None) -> Floats:
    """Number of pairs: exact without weights, to first order with them."""
    total = of_items.sum(axis=0) / 2
    return np.asarray(total if weights is None else total + weights @ of_items)


def spearman_influence(x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
    """Influence values of Spearman's correlation (Croux & Dehon 2010, for the empirical distribution).

    Parameters
    ----------
    x, y
        Shape ``(n_items,)``, finite; few ties.

    Returns
    -------
    Shape ``(n_items,)``, mean 0. To first order, a resample with counts ``w`` has the correlation
    ``rho + (w - 1) @ influence / n_items``.
    """
    u, v = (average_ranks(np.asarray(one)) / len(np.asarray(one)) for one in (x, y))
    influence = u * v + _mean_above(np.asarray(x), v) + _mean_above(np.asarray(y), u)
    centred: Floats = 12 * (influence - influence.mean())
    return centred


def _mean_above(key: npt.NDArray[np.generic], of: Floats) -> Floats:
    """For every item, the sum of ``of`` over items whose key is higher (half of its own and ties), over n."""
    order = np.argsort(key, kind="stable")
    upto = np.concatenate([[0.0], np.cumsum(of[order])])
    ordered = key[order]
    first = np.searchsorted(ordered, key, side="left")
    last = np.searchsorted(ordered, key, side="right")
    mean: Floats = (upto[-1] - (upto[first] + upto[last]) / 2) / len(of)
    return mean


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(under > 0, over / under, np.nan)
    return ratio
