"""Intervals from bootstrap values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
UPPER_QUANTILE = (1 + LEVEL) / 2


def percentile_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """95% percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Both bounds are NaN if more than 5% of the values are: an interval from the others would be too narrow.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.size < LEVEL * values.size:
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)
