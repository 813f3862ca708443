"""Uncertainty from disjoint parts of the data, for scores that resampling with replacement would spoil.

A neighbour graph cannot be built from cells drawn twice: copies are their own nearest neighbours. So the
whole score is computed again on pairs of disjoint random parts. Their differences give its variance (delete-d
jackknife, Shao & Wu 1989). A layer chosen on one part is scored on the other without further computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floats
from layerscope.chance import generator

MIN_USABLE_SHARE = 0.8
"""Share of the splits that must have a score on both parts for an interval to be given."""
NEARLY_ONE = 1 - 1e-6
DEGREES_OF_CELLS = 30
"""Degrees of freedom that the variance would have from ever more splits: they all divide the same cells.

Measured in 400 simulated studies of 100 clones (benchmarks/trajectory_calibration.py): with 20 splits the
variance of a gain scatters as one of 11 to 13 degrees of freedom does, not as one of 20.
"""


@dataclass(frozen=True)
class Splits:
    """Pairs of disjoint random parts of the items, each of shape ``(n_splits, n_items)``."""

    first: Bools
    second: Bools
    units: list[str]  # names of what is kept together
    seed: int
    scale: float
    """Standard error of a score on all items in units of the difference between the two parts' scores:
    ``sqrt(share of the items in a part / 2)``, 1 / 2 for halves."""

    @classmethod
    def of(cls, units: Sequence[str], seed: int, n_splits: int, most: int) -> Splits:
        """Split items into halves, or into two parts of about ``most`` items where there are more.

        Items of one unit fall into the same part, or into none. Splits depend on the seed and on the set of
        units, not on the order of items.
        """
        names, unit, size = np.unique(
            np.asarray(units, dtype=np.str_), return_inverse=True, return_counts=True
        )
        random = generator(seed, names.tolist(), "splits")
        part = min(most, len(unit) / 2)
        first, second = np.zeros((2, n_splits, len(unit)), dtype=bool)
        for in_first, in_second in zip(first, second, strict=True):
            order = random.permutation(len(names))
            before = np.empty(len(names))
            before[order] = np.cumsum(size[order]) - size[order]
            in_first[:] = before[unit] < part
            in_second[:] = (before[unit] >= part) & (before[unit] < 2 * part)
        share = (first.mean() + second.mean()) / 2 if n_splits else 0.5
        return cls(first, second, names.tolist(), seed, float(np.sqrt(share / 2)))

    def resamples(
        self, estimate: float, on_first: npt.ArrayLike, on_second: npt.ArrayLike, n_resamples: int
    ) -> Floats:
        """Values that spread around an estimate as it would vary: a multivariate t over all layers.

        Value ``b`` is ``estimate + s_b * sum_s(g_bs * d_s) / sqrt(n_splits)``, on Fisher's z scale. ``d`` are
        the scaled differences of the parts' scores. The multipliers are common to all layers and models of a
        condition, so values are paired: ``g`` normal, ``s_b`` the square root of ``f`` over a chi-squared
        number of ``f`` degrees of freedom, ``1 / f = 1 / n_splits + 1 / DEGREES_OF_CELLS``.

        NaN if fewer than :data:`MIN_USABLE_SHARE` of the splits have a score on both parts.
        """
        centre, first, second = (
            np.arctanh(np.clip(values, -NEARLY_ONE, NEARLY_ONE)) for values in (estimate, on_first, on_second)
        )
        differences = self.scale * (first - second)
        usable = np.isfinite(differences)
        n_usable = int(usable.sum())
        if not n_usable or n_usable < MIN_USABLE_SHARE * len(differences):
            return np.full(n_resamples, np.nan)
        random = generator(self.seed, self.units, "multipliers")
        normal = random.standard_normal((n_resamples, len(differences)))
        freedom = 1 / (1 / len(differences) + 1 / DEGREES_OF_CELLS)
        stretch = np.sqrt(freedom / random.chisquare(freedom, n_resamples))
        spread = normal @ np.where(usable, differences, 0) / np.sqrt(n_usable)
        values: Floats = np.tanh(centre + stretch * spread)
        return values
