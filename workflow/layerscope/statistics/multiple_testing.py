"""Many comparisons at once: max-T over a common bootstrap, and Holm across families.

Everything here works on bootstrap values that are paired: column ``l`` of row ``b`` is layer ``l`` scored on
resample ``b``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floats
from layerscope.statistics.intervals import LEVEL


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm's (1979) adjusted p-values, shape of ``p_values``; NaN stays NaN and counts for nothing."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return adjusted


@dataclass(frozen=True)
class MaxT:
    """Simultaneous intervals of estimates, and two-sided p-values, below 0.05 where 0 is outside."""

    low: Floats
    high: Floats
    p: Floats


def max_t(estimates: npt.ArrayLike, resamples: npt.ArrayLike) -> MaxT:
    """Single-step max-T (Westfall & Young 1993, section 2.6) with bootstrap standard errors.

    ``estimates`` have shape ``(n_estimates,)``, their paired bootstrap values ``resamples`` shape
    ``(n_resamples, n_estimates)``; resamples with NaN are left out.
    """
    estimates = np.asarray(estimates, dtype=np.float64)
    error, studentised = studentise(estimates, resamples)
    if not len(studentised):
        nothing = np.full(estimates.shape, np.nan)
        return MaxT(nothing, nothing.copy(), nothing.copy())
    largest = np.abs(studentised).max(axis=1)
    reach = np.quantile(largest, LEVEL, method="higher") * error
    exceeding = (largest[:, None] >= np.abs(_ratio(estimates, error))).sum(axis=0)
    return MaxT(estimates - reach, estimates + reach, (1 + exceeding) / (1 + len(largest)))


def p_best(estimates: npt.ArrayLike, resamples: npt.ArrayLike) -> Floats:
    """P-value of each candidate being the best: multiple comparisons with the best (Hsu 1984).

    The largest studentised difference of any other to it, against the max-T bootstrap of these differences.
    Shape ``(n_candidates,)``: 1 for one candidate alone, NaN without usable resamples.
    """
    estimates = np.asarray(estimates, dtype=np.float64)
    values = np.asarray(resamples, dtype=np.float64)
    p_values = np.ones(len(estimates))
    for candidate in range(len(estimates)):
        others = np.arange(len(estimates)) != candidate
        if others.any():
            ahead = estimates[others] - estimates[candidate]
            error, studentised = studentise(ahead, values[:, others] - values[:, [candidate]])
            exceeding = (studentised >= _ratio(ahead, error).max()).any(axis=1).sum()
            n_usable = len(studentised)
            p_values[candidate] = (1 + exceeding) / (1 + n_usable) if n_usable else np.nan
    return p_values


def studentise(estimates: Floats, resamples: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Bootstrap standard errors, and the usable resamples as deviations from the estimates in these units."""
    values = np.asarray(resamples, dtype=np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 2:
        return np.full(estimates.shape, np.nan), np.empty((0, len(estimates)))
    error = values.std(axis=0, ddof=1)
    deviations: Floats = _ratio(values - estimates, error)
    return error, deviations


def _ratio(difference: Floats, error: Floats) -> Floats:
    """Difference in standard errors; 0 where both are 0, infinite where only the error is."""
    tiny = 1e-12  # identical layers differ by rounding alone
    varies = error > tiny
    without = np.where(np.abs(difference) > tiny, np.copysign(np.inf, difference), 0.0)
    ratio: Floats = np.where(varies, difference / np.where(varies, error, 1), without)
    return ratio
