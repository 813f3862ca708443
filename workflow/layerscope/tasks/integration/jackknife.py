"""Intervals from leaving parts of the data out in turn, and scoring the rest anew.

A score of neighbours cannot be resampled with replacement: copies are each other's neighbours. On halves of
the batches it is another score: of six batches each is a larger share of its cells' neighbours than of
twelve. The variance is that of the delete-a-group jackknife (Kott 2001; Efron & Tibshirani 1993, ch. 11).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.arrays import Bools, Floats, Ints
from layerscope.chance import generator

MIN_USABLE_SHARE = 0.8
"""Share of the parts without which there must be a score for an interval to be given."""


@dataclass(frozen=True)
class Parts:
    """Random parts of whole units, of nearly equal size; the same for every layer and model."""

    part: Ints  # of each cell, from 0
    n_parts: int
    units: list[str]
    seed: int

    @classmethod
    def of(cls, units: Sequence[str], seed: int, most: int) -> Parts:
        """Deal the units of all cells into parts; of few units each is a part of its own."""
        names, unit = np.unique(np.asarray(units, dtype=np.str_), return_inverse=True)
        n_parts = min(most, len(names))
        dealt = np.empty(len(names), dtype=np.intp)
        dealt[generator(seed, names.tolist(), "parts").permutation(len(names))] = (
            np.arange(len(names)) % n_parts
        )
        return cls(dealt[unit], n_parts, names.tolist(), seed)

    def without_each(self, measure: Callable[[Bools], float]) -> Floats:
        """A score of the cells of all other parts, for each part, shape ``(n_parts,)``."""
        return np.array([measure(self.part != part) for part in range(self.n_parts)])

    def resamples(self, estimate: float, without: Floats, n_resamples: int) -> Floats:
        """Values that spread around an estimate, a multivariate t over all layers; NaN without scores."""
        usable = np.isfinite(without)
        if not np.isfinite(estimate) or usable.sum() < max(2, MIN_USABLE_SHARE * self.n_parts):
            return np.full(n_resamples, np.nan)
        n_usable = int(usable.sum())
        deviations = np.where(usable, without - without[usable].mean(), 0) * np.sqrt(
            (n_usable - 1) / n_usable
        )
        random = generator(self.seed, self.units, "multipliers")
        normal = random.standard_normal((n_resamples, self.n_parts))
        stretch = np.sqrt((self.n_parts - 1) / random.chisquare(self.n_parts - 1, n_resamples))
        return np.asarray(estimate + stretch * (normal @ deviations))
