"""Means of the cells of each perturbation in one layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.arrays import Floating, Floats
from layerscope.tasks.screens.sums import VALUES_AT_ONCE, add_by_group, unit_rows

# spread of centroids, relative to their length, that rounding in float32 explains
ROUNDING_ERROR = 1e-6


@dataclass(frozen=True)
class GroupSums:
    """Number and sum of the cells of each group."""

    counts: NDArray[np.int64]  # (n_groups,)
    sums: Floats  # (n_groups, n_dimensions)

    def means(self) -> Floats:
        """Mean cell of each group; NaN for a group without cells."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums / self.counts[:, None])


@dataclass(frozen=True)
class AllCells:
    """A layer's sums over all cells of the control (first) and of each perturbation of a reference."""

    as_they_are: GroupSums
    unit_norm: GroupSums  # of the cells' vectors scaled to unit length


def sum_groups(matrix: Floating, group: NDArray[np.int64], n_groups: int) -> AllCells:
    """Sum cells by group: of each cell one of ``n_groups``, or -1 for none."""
    counts = np.bincount(group[group >= 0], minlength=n_groups)
    plain, unit = np.zeros((2, n_groups, matrix.shape[1]))
    at_once = max(1, VALUES_AT_ONCE // max(matrix.shape[1], 1))
    for start in range(0, len(matrix), at_once):
        owner = group[start : start + at_once]
        rows = matrix[start : start + at_once].astype(np.float64)
        add_by_group(plain, owner, rows)
        add_by_group(unit, owner, unit_rows(rows))
    return AllCells(as_they_are=GroupSums(counts, plain), unit_norm=GroupSums(counts, unit))


def why_undefined(centroids: Floats) -> str:
    """Why cosines between these (finite) centroids mean nothing; empty if they do."""
    length = np.linalg.norm(centroids, axis=1)
    if (length == 0).any():
        return f"{int((length == 0).sum())} of {len(length)} centroids have length zero, so no direction"
    spread = np.linalg.norm(centroids - centroids.mean(axis=0), axis=1).max()
    if spread <= ROUNDING_ERROR * length.mean():
        return "constant layer: the centroids of all perturbations are the same"
    return ""
