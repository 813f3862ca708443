"""Means of the cells of each perturbation in one layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
CELLS_AT_ONCE = 8192
# spread of centroids, relative to their length, that rounding in float32 explains
ROUNDING = 1e-6


@dataclass(frozen=True)
class GroupSums:
    """What scores need of the cells of each group, and nothing of the cells themselves.

    Attributes
    ----------
    counts
        Cells of each group, shape ``(n_groups,)``.
    sums, squares
        Sum over the cells of each dimension, and of its square, shape ``(n_groups, n_dimensions)``, float64.
    """

    counts: NDArray[np.int64]
    sums: Array
    squares: Array

    def means(self) -> Array:
        """Mean cell of each group, shape ``(n_groups, n_dimensions)``; NaN for a group without cells."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / self.counts[:, None])


def sum_groups(
    matrix: NDArray[np.floating], group: NDArray[np.int64], n_groups: int, unit_norm: bool = False
) -> GroupSums:
    """Sum cells by group, in blocks that bound the memory and in the order of the cells.

    Parameters
    ----------
    matrix
        Cells x dimensions, any float type.
    group
        Group of each cell, shape ``(n_cells,)``; cells of -1 are in none.
    n_groups
        Number of groups.
    unit_norm
        Whether to scale every cell to unit length first.
    """
    counts = np.bincount(group[group >= 0], minlength=n_groups)
    sums = np.zeros((n_groups, matrix.shape[1]))
    squares = np.zeros_like(sums)
    for start in range(0, len(matrix), CELLS_AT_ONCE):
        rows = group[start : start + CELLS_AT_ONCE]
        inside = np.flatnonzero(rows >= 0)
        block = np.asarray(matrix[start : start + CELLS_AT_ONCE][inside], dtype=np.float64)
        block = unit_rows(block) if unit_norm else block
        member = sparse.csr_matrix(
            (np.ones(len(inside)), (rows[inside], np.arange(len(inside)))), shape=(n_groups, len(inside))
        )
        sums += member @ block
        squares += member @ block**2
    return GroupSums(counts=counts, sums=sums, squares=squares)


def unit_rows(matrix: NDArray[np.floating]) -> Array:
    """Rows scaled to unit length; rows of zeros stay."""
    rows = np.asarray(matrix, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0))


def why_undefined(centroids: Array) -> str:
    """Why cosines between these centroids mean nothing; empty if they do.

    Parameters
    ----------
    centroids
        Shape ``(n_groups, n_dimensions)``, finite.
    """
    length = np.linalg.norm(centroids, axis=1)
    if (length == 0).any():
        return f"{int((length == 0).sum())} of {len(length)} centroids have length zero, so no direction"
    spread = np.linalg.norm(centroids - centroids.mean(axis=0), axis=1).max()
    if spread <= ROUNDING * length.mean():
        return "constant layer: the centroids of all perturbations are the same"
    return ""
