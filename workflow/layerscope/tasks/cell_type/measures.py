"""Scores of predictions (or of silhouettes) as functions of how often each unit is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Measure = Callable[[npt.ArrayLike], Floats]
"""Gives the score of every row of counts of the units, shape ``(n_rows, n_units)``."""


@dataclass(frozen=True)
class Labellings:
    """Several labellings of the same cells, the true one first."""

    types: Ints
    """Types of the cells, shape ``(n_labellings, n_cells)``."""
    weights: Floats
    """How often each cell counts, of the same shape."""
    n_types: int


def macro_f1(types: Ints, predicted: Ints, unit: Ints, n_units: int, n_types: int) -> Measure:
    """F1 of each type, 2 x right / (cells of the type + cells predicted to be), averaged over the types.

    Predictions of all folds are put together first. In a resample the average is over the types that it has;
    NaN if it has no cell.
    """
    right = by_unit(types, unit, n_units, n_types, (types == predicted).astype(np.float64))
    of_type = by_unit(types, unit, n_units, n_types)
    predicted_as = by_unit(predicted, unit, n_units, n_types)

    def measure(counts: npt.ArrayLike) -> Floats:
        weights = np.asarray(counts, dtype=np.float64)
        cells, guesses, hits = weights @ of_type, weights @ predicted_as, weights @ right
        present = cells > 0
        f1 = np.where(present, 2 * hits / np.where(present, cells + guesses, 1), 0.0)
        n_present = present.sum(axis=-1)
        mean: Floats = np.where(n_present > 0, f1.sum(axis=-1) / np.maximum(n_present, 1), np.nan)
        return mean

    return measure


def accuracy(types: Ints, predicted: Ints, unit: Ints, n_units: int) -> Measure:
    """Share of the cells whose type was predicted."""
    return mean_of((types == predicted).astype(np.float64), unit, n_units)


def mean_of(values: Floats, unit: Ints, n_units: int) -> Measure:
    """Mean of a value over the cells; NaN if a resample has none."""
    sums = np.bincount(unit, values, n_units)
    sizes = np.bincount(unit, minlength=n_units).astype(np.float64)

    def measure(counts: npt.ArrayLike) -> Floats:
        weights = np.asarray(counts, dtype=np.float64)
        cells = weights @ sizes
        mean: Floats = np.where(cells > 0, (weights @ sums) / np.where(cells > 0, cells, 1), np.nan)
        return mean

    return measure


def by_unit(types: Ints, unit: Ints, n_units: int, n_types: int, weight: Floats | None = None) -> Floats:
    """Cells (or their weights) of each unit and type, shape ``(n_units, n_types)``."""
    counts = np.bincount(unit * n_types + types, weight, n_units * n_types)
    return counts.reshape(n_units, n_types).astype(np.float64)
