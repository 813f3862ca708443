"""Do values and ordered labels agree? Kendall's tau-b and Somers' D within strata, many orders at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floating, Floats, Integers
from layerscope.statistics.ranks import tied_places


@dataclass(frozen=True)
class OrderConcordance:
    """Numbers of pairs of items of one stratum, for one or many orders of the same items, ``(n_orders,)``."""

    agreeing: Floats  # concordant minus discordant
    ordered: Floats  # with different finite values
    labelled: Floats  # with different labels

    def somers_d(self) -> Floats:
        """Somers' D: concordant minus discordant pairs, over pairs of different labels; NaN without any."""
        return _ratio(self.agreeing, self.labelled)

    def tau_b(self) -> Floats:
        """Kendall's tau-b, shape ``(n_orders,)``; NaN if all labels or all values are tied."""
        return _ratio(self.agreeing, np.sqrt(self.labelled * self.ordered))


def order_concordance(
    values: npt.ArrayLike, labels: Integers, strata: Integers, without: Integers | None = None
) -> OrderConcordance:
    """Count the pairs of items of the same stratum in which values and labels go the same way.

    Parameters
    ----------
    values
        Shape ``(n_orders, n_items)``; an infinite value is tied with every other.
    labels
        Ordered labels as whole numbers, shape ``(n_items,)``.
    strata
        Items of different strata are not compared, shape ``(n_items,)``.
    without
        An item to leave out of each order (-1 for none), shape ``(n_orders,)``.
    """
    values = np.array(values, ndmin=2, dtype=np.float64)
    agreeing, ordered, labelled = np.zeros((3, len(values)))
    if without is not None:
        left_out = np.flatnonzero(without >= 0)
        items = without[left_out]
        values[left_out, items] = np.inf
        same = (strata[items][:, None] == strata) & (labels[items][:, None] != labels)
        labelled[left_out] -= same.sum(axis=1)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        size = np.bincount(np.unique(labels[members], return_inverse=True)[1])
        labelled += (len(members) ** 2 - (size**2).sum()) / 2
        of_stratum = _count_pairs(values[:, members], labels[members])
        agreeing += of_stratum[0]
        ordered += of_stratum[1]
    return OrderConcordance(agreeing, ordered, labelled)


def _count_pairs(values: Floating, labels: Integers) -> tuple[Floats, Floats]:
    """Concordant minus discordant pairs, and pairs with different finite values, shape ``(n_orders,)``."""
    by_value = np.argsort(values, axis=1, kind="stable")
    ascending = np.take_along_axis(values, by_value, axis=1)
    finite = np.isfinite(ascending)
    label = labels[by_value]
    first, last = tied_places(ascending)
    agreeing, ordered = np.zeros((2, len(values)))
    for other in np.unique(labels):
        upto = np.zeros((len(values), values.shape[1] + 1))
        np.cumsum(finite & (label == other), axis=1, out=upto[:, 1:])
        below = np.take_along_axis(upto, first, axis=1)
        above = upto[:, -1:] - np.take_along_axis(upto, last + 1, axis=1)
        agreeing += np.where(finite, np.sign(other - label) * (above - below), 0).sum(axis=1) / 2
        ordered += np.where(finite, above + below, 0).sum(axis=1) / 2
    return agreeing, ordered


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(under > 0, over / under, np.nan)
    return ratio
