"""How numbers are printed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd


def number(value: float, digits: int = 3) -> str:
    """A number with so many decimals, more where it would read as zero; nothing if it is missing."""
    if math.isnan(value):
        return ""
    if value != 0 and abs(value) < 10.0**-digits:
        return f"{value:.2g}"
    return f"{value + 0.0:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign and always so many decimals; nothing if it is missing."""
    if math.isnan(value):
        return ""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def count(value: float) -> str:
    """A whole number, its thousands set apart; nothing if it is missing."""
    return "" if math.isnan(value) else f"{int(value):,}"


def percent(value: float) -> str:
    """A share as a percentage; nothing if it is missing."""
    return "" if math.isnan(value) else f"{value:.0%}"


def interval(low: float, high: float, digits: int = 2) -> str:
    """An interval in words, its ends with so many decimals; nothing if one is missing."""
    if math.isnan(low) or math.isnan(high):
        return ""
    # adding 0.0 turns -0.0 into 0.0
    return f"{round(low, digits) + 0.0:.{digits}f} to {round(high, digits) + 0.0:.{digits}f}"


def column_texts(values: pd.Series) -> list[str]:
    """Print a column: whole numbers as counts, other numbers with three decimals, text as it is."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return ["" if pd.isna(value) else str(value) for value in values]
    numbers = values.to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    whole = bool((finite == np.round(finite)).all())
    return [
        "" if np.isnan(value) else str(value) if np.isinf(value) else count(value) if whole else number(value)
        for value in numbers.tolist()
    ]
