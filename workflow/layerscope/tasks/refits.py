"""Resamples of a score whose predictions were fitted: those that are tested, and those that trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from layerscope.arrays import Floats
from layerscope.statistics.intervals import LEVEL
from layerscope.statistics.resampling import bootstrap_counts

Measure = Callable[[npt.ArrayLike], Floats]
"""Gives the score of every row of counts of the units, shape ``(n_rows, n_units)``."""
UPPER_QUANTILE = (1 + LEVEL) / 2


def unit_counts(seed: int, units: Sequence[str], n_resamples: int) -> npt.NDArray[np.int32]:
    """How often each unit is drawn in each resample, ``(n_resamples, n_units)``, of so few that all fit."""
    blocks = bootstrap_counts(seed, units, n_resamples)
    return np.concatenate([*blocks, np.empty((0, len(units)), dtype=np.int32)])


def resampled(measure: Measure, refits: Sequence[Measure], counts: npt.NDArray[np.int32]) -> Floats:
    """Values of a score in resamples of the units that are tested, and of those that trained.

    Every resample of the tests takes the predictions of one of the refits, in turn. Refits see fewer
    different cells and are a little worse: the mean of what they lose is given back. Values are spread as
    Student's t. Without refits, the predictions stay. ``counts`` says how often each unit is tested.
    """
    n_units = counts.shape[1]
    everyone = np.ones(n_units)
    estimate = measure(everyone)
    measures = refits or [measure]
    values = np.empty(len(counts))
    for turn, refit in enumerate(measures):
        values[turn :: len(measures)] = refit(counts[turn :: len(measures)])
    centre = np.nanmean([refit(everyone) for refit in measures])
    wider = np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, UPPER_QUANTILE) / ndtri(UPPER_QUANTILE)
    return np.asarray(np.minimum(estimate + wider * (values - centre), 1))
