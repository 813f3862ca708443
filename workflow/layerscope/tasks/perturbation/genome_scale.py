"""Scores of thousands of perturbations, exact, in little memory.

Similarities are float32 (an error of about 2e-7 in a correlation), ranks of pairs float64. The interval is
the infinitesimal jackknife's, and halves of the perturbations keep the ranks among all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from layerscope.arrays import Bools, Floating, Floats
from layerscope.tasks.perturbation.influence import Estimate, RankedPairs, spearman_influence
from layerscope.tasks.perturbation.pairs import pairs_by_row

GENOME_SCALE = 1000  # perturbations beyond which similarities are float32, and scores are not bootstrapped
ROWS_AT_ONCE = 256


def upper_triangle(matrix: Floating) -> NDArray[np.float32]:
    """Entries above the diagonal, row by row, shape ``(n (n - 1) / 2,)``."""
    return np.concatenate([row[index + 1 :] for index, row in enumerate(matrix)], dtype=np.float32)


def spearman_of_many(x: Floating, y: Floating, halves: Bools) -> tuple[Estimate, Floats, Floats]:
    """Spearman's correlation over millions of pairs, and its values on halves of the items.

    ``x`` and ``y`` are above a diagonal, row by row; ``halves``, splits x items, is True for the first half.
    The values are correlations of the ranks of ALL pairs over the pairs within each first and each second
    half. NaN where a vector is constant.
    """
    ranked_x, ranked_y = RankedPairs(x), RankedPairs(y)
    estimate = spearman_influence(ranked_x, ranked_y, halves.shape[1])
    u, v = ranked_x.centred, ranked_y.centred
    del ranked_x, ranked_y
    within = _pearson_within(u, v, np.concatenate([halves, ~halves]))
    return estimate, within[: len(halves)], within[len(halves) :]


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Blocks of rows."""
    for start in range(0, n_rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, n_rows))


def _pearson_within(u: Floats, v: Floats, members: Bools) -> Floats:
    """Pearson correlation of two vectors of pairs over the pairs within each set of items."""
    n_items = members.shape[1]
    weights = members.astype(np.float64)
    rows_of_u, rows_of_v = pairs_by_row(u, n_items), pairs_by_row(v, n_items)
    sums = np.zeros((5, len(members)))
    for rows in row_blocks(n_items):
        x, y = np.zeros((2, rows.stop - rows.start, n_items))
        for row, item in enumerate(range(rows.start, rows.stop)):
            x[row, item + 1 :], y[row, item + 1 :] = next(rows_of_u), next(rows_of_v)
        for total, products in zip(sums, (x, y, x * y, x * x, y * y), strict=True):
            total += (weights[:, rows].T * (products @ weights.T)).sum(axis=0)
    n = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, xy, xx, yy = sums / (n * (n - 1) / 2)
        return np.asarray((xy - mean_x * mean_y) / np.sqrt((xx - mean_x**2) * (yy - mean_y**2)))
