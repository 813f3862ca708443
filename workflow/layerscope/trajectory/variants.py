"""The same score of a layer centred, and of cells of unit length: does it hang on offset or scale?

The rows have no interval of their own; they stand beside the score that they vary. Cosine distances do not
see the length of a cell's vector, so that there the score of unit-length cells is the score itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from layerscope.tables import Score
from layerscope.trajectory.neighbours import Metric
from layerscope.trajectory.scores import UndefinedPseudotimeError

CENTRED, UNIT_NORM = "_centred", "_unit_norm"
"""Endings of the names of the varied scores."""

Matrix = npt.NDArray[np.floating]


def centred(matrix: Matrix) -> Matrix:
    """The layer minus its mean over the cells that were not refused; shape as it comes, float64."""
    usable = np.isfinite(matrix).all(axis=1)
    return np.asarray(matrix.astype(np.float64) - matrix[usable].mean(axis=0, dtype=np.float64))


def unit_norm(matrix: Matrix) -> Matrix:
    """Every cell's vector divided by its length; a cell of length 0 stays what it is."""
    length = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    return matrix / np.where(length > 0, length, 1.0)


def varied_rows(row: Score, matrix: Matrix, metric: Metric, score: Callable[[Matrix], float]) -> list[Score]:
    """Rows of the varied scores of a layer.

    Parameters
    ----------
    row
        The score itself; rows without a number give rows without a number, for the same reason.
    matrix
        The layer, cells x hidden; rows that are not finite are refused cells.
    metric
        Of the neighbour graph.
    score
        Scores a matrix in place of the layer; NaN, or :class:`UndefinedPseudotimeError`, where there is none.
    """
    plain = replace(row, ci_low=np.nan, ci_high=np.nan, null_mean=np.nan, p_value=np.nan, ceiling=np.nan)
    rows = []
    for ending, change in ((CENTRED, centred), (UNIT_NORM, unit_norm)):
        named = replace(plain, metric=row.metric + ending)
        if row.status != "ok":
            rows.append(named)
        elif change is unit_norm and metric == "cosine":
            rows.append(replace(named, reason="cosine distances do not see the length of a cell's vector"))
        else:
            rows.append(_scored(named, change(matrix), score))
    return rows


def _scored(row: Score, matrix: Matrix, score: Callable[[Matrix], float]) -> Score:
    nothing = replace(row, estimate=np.nan, status="undefined")
    try:
        value = score(matrix)
    except UndefinedPseudotimeError as undefined:
        return replace(nothing, reason=str(undefined))
    if np.isnan(value):
        return replace(nothing, reason="no correlation: too few cells, or a pseudotime is constant")
    return replace(row, estimate=value)
