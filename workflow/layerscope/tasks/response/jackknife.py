"""Ratios of sums over targets, and how they vary with the targets, tested and trained on.

A target that is left out is missing from the tests AND from the training of all others. Ridge regression has
a closed form for both, so that no fit is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from layerscope.arrays import Bools, Floats
from layerscope.chance import generator
from layerscope.statistics.intervals import UPPER_QUANTILE


@dataclass(frozen=True)
class Ratio:
    """A score that is a sum over targets divided by another one, or (``explained``) 1 minus that.

    ``above`` and ``below`` are each target's parts of the two sums; ``above_moved`` and ``below_moved`` are
    what the parts of all others change by if it does not train. 1 minus a ratio is resampled on the scale of
    the ratio's root, a relative distance, so that it never passes 1.
    """

    above: Floats
    below: Floats
    above_moved: Floats
    below_moved: Floats
    explained: bool = False

    def __call__(self, counts: Bools | Floats) -> Floats:
        """The score of some of the targets, predictions as they are: ``(..., n_targets)`` to ``(...)``."""
        ratio = _divided(counts @ self.above, counts @ self.below)
        return 1 - ratio if self.explained else ratio

    @property
    def value(self) -> float:
        """The score of all targets."""
        return float(self(np.ones(len(self.above))))

    def resampled(self, draws: Floats) -> Floats:
        """Values that vary as the score would with other targets, by the jackknife, spread as Student's t."""
        above = self.above.sum() - self.above + self.above_moved
        without = _divided(above, self.below.sum() - self.below + self.below_moved)
        everyone = self.above.sum() / self.below.sum()
        if self.explained:
            without, everyone = np.sqrt(np.maximum(without, 0)), math.sqrt(everyone)
        n_targets = len(without)
        influence = math.sqrt((n_targets - 1) / n_targets) * (without.mean() - without)
        wider = stdtrit(n_targets - 1, UPPER_QUANTILE) / ndtri(UPPER_QUANTILE)
        values = everyone + wider * (draws @ influence)
        return np.asarray(1 - np.maximum(values, 0) ** 2 if self.explained else np.minimum(values, 1))


def _divided(above: Floats, below: Floats) -> Floats:
    """A ratio; NaN where there is nothing below."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0)


def target_draws(targets: list[str], seed: int, n_resamples: int) -> Floats:
    """A standard normal number for each target in each resample, the same for every layer and model.

    Shape ``(n_resamples, n_targets)``. Not counts of a bootstrap: a score that hangs on few targets has
    influences with long tails, and quantiles of their sums would be a little narrower.
    """
    random = generator(seed, targets, "multipliers")
    draws = np.empty((n_resamples, len(targets)))
    draws[:, np.argsort(np.asarray(targets, dtype=np.str_), kind="stable")] = random.standard_normal(
        draws.shape
    )
    return draws
