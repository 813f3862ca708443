"""Resamples of a score whose predictions were fitted: those that are tested, and those that trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from layerscope.arrays import Floats
from layerscope.settings import Resampled
from layerscope.statistics.intervals import UPPER_QUANTILE
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.statistics.splits import Splits

Measure = Callable[[npt.ArrayLike], Floats]
"""Gives the score of every row of counts of the units, shape ``(n_rows, n_units)``."""


class UnitDraws:
    """How units are drawn: in resamples (``counts``), and in halves; the same for every layer and model."""

    def __init__(self, units: Sequence[str], settings: Resampled, seed: int) -> None:
        blocks = bootstrap_counts(seed, units, settings.resamples)
        self.counts = np.concatenate([*blocks, np.empty((0, len(units)), dtype=np.int32)])
        self.everyone = np.ones(len(units))
        self._splits = Splits.of(units, seed, settings.splits, len(units))

    def estimate(self, measure: Measure) -> float:
        """The score of all units."""
        return float(measure(self.everyone))

    def resampled(self, measure: Measure, refits: Sequence[Measure] = ()) -> Floats:
        """Values of a score in resamples of the units that are tested, and of those that trained.

        Every resample of the tests takes the predictions of one of the refits, in turn. Refits see fewer
        different cells and are a little worse: the mean of what they lose is given back. Values are spread as
        Student's t. Without refits, the predictions stay.
        """
        n_units = len(self.everyone)
        measures = refits or [measure]
        values = np.empty(len(self.counts))
        for turn, refit in enumerate(measures):
            values[turn :: len(measures)] = refit(self.counts[turn :: len(measures)])
        centre = np.nanmean([refit(self.everyone) for refit in measures])
        wider = np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, UPPER_QUANTILE)
        wider /= ndtri(UPPER_QUANTILE)
        return np.asarray(np.minimum(measure(self.everyone) + wider * (values - centre), 1))

    def halves(self, measure: Measure) -> tuple[Floats, Floats]:
        """The score on both halves of every split of the units."""
        return measure(self._splits.first), measure(self._splits.second)
