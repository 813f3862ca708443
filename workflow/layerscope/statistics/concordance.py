"""Do values and ordered labels agree? Kendall's tau-b and Somers' D within strata, many orders at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class OrderConcordance:
    """Pairs of items of one stratum, for one or many orders of the same items.

    Attributes
    ----------
    agreeing
        Concordant minus discordant pairs, shape ``(n_orders,)``.
    ordered
        Pairs with different finite values, shape ``(n_orders,)``.
    labelled
        Pairs with different labels.
    """

    agreeing: Floats
    ordered: Floats
    labelled: float

    def somers_d(self) -> Floats:
        """Somers' D of the values given the labels: the share of concordant minus that of discordant pairs.

        Among the pairs with different labels; 1 is reached when values separate the labels, however coarse
        these are. Pairs in which a value is infinite count as neither concordant nor discordant.

        Returns
        -------
        Shape ``(n_orders,)``; NaN if no two items of a stratum have different labels.
        """
        return _ratio(self.agreeing, np.full_like(self.agreeing, self.labelled))

    def tau_b(self) -> Floats:
        """Kendall's tau-b, shape ``(n_orders,)``; NaN if all labels or all values are tied."""
        return _ratio(self.agreeing, np.sqrt(self.labelled * self.ordered))


def order_concordance(values: npt.ArrayLike, labels: Integers, strata: Integers) -> OrderConcordance:
    """Count the pairs of items of the same stratum in which values and labels go the same way.

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
    labelled = 0.0
    agreeing, ordered = np.zeros((2, len(values)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        own = labels[members]
        size = np.bincount(np.unique(own, return_inverse=True)[1])
        labelled += (len(own) ** 2 - (size**2).sum()) / 2
        for place, of_order in enumerate(values[:, members]):
            finite = np.isfinite(of_order)
            here, label_here = of_order[finite], own[finite]
            for label in np.unique(label_here):
                others = np.sort(here[label_here == label])
                below = np.searchsorted(others, here, side="left")
                above = len(others) - np.searchsorted(others, here, side="right")
                agreeing[place] += (np.sign(label - label_here) * (above - below)).sum() / 2
                ordered[place] += (above + below).sum() / 2
    return OrderConcordance(agreeing, ordered, labelled)


def _ratio(over: Floats, under: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(under > 0, over / under, np.nan)
    return ratio
