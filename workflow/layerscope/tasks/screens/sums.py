"""Sums of a layer's cells over the groups of a design: all that protocol ``strict`` needs of a layer.

An extraction that keeps these (``keep: sums``) needs to store no cell; its memory depends on the groups and
not on the number of cells. Scores from stored cells pass through the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.arrays import Floating, Floats, Integers

VALUES_AT_ONCE = 1_000_000
"""Values of cells held at once in float64."""
ROUNDING_ERROR = 1e-6
"""Spread of mean cells, relative to their length, that rounding in float32 explains."""


@dataclass(frozen=True)
class LayerSums:
    """Number and sum of the cells of each group that the model accepted, under each labelling."""

    counts: NDArray[np.int64]  # (n_labellings, n_groups)
    sums: Floats  # (n_labellings, n_groups, n_dimensions)

    @classmethod
    def zeros(cls, n_labellings: int, n_groups: int, n_dimensions: int) -> LayerSums:
        """Sums of no cell yet."""
        counts = np.zeros((n_labellings, n_groups), dtype=np.int64)
        return cls(counts, np.zeros((*counts.shape, n_dimensions)))

    def add(self, groups: Integers, cells: Floats) -> None:
        """Add cells x dimensions (NaN: refused) to their groups, shape ``(n_labellings, n_cells)``."""
        usable = np.isfinite(cells).all(axis=1)
        for sums, counts, labelling in zip(self.sums, self.counts, groups, strict=True):
            group = np.where(usable, labelling, -1)
            add_by_group(sums, group, cells)
            counts += np.bincount(group[group >= 0], minlength=len(counts))

    def means(self) -> Floats:
        """Mean cell of each group under the true labels; NaN for a group without cells."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.sums[0] / self.counts[0, :, None])

    def by_bucket(self, labelling: int, n_buckets: int) -> tuple[Floats, NDArray[np.int64]]:
        """Sums and counts of a labelling: items x buckets x dimensions, and items x buckets."""
        sums, counts = self.sums[labelling], self.counts[labelling]
        return sums.reshape(-1, n_buckets, sums.shape[1]), counts.reshape(-1, n_buckets)


def sum_layer(matrix: Floating, groups: Integers, n_groups: int, unit_norm: bool = False) -> LayerSums:
    """Sum the cells of a layer, cells x dimensions, by group (-1: none), labellings x cells."""
    sums = LayerSums.zeros(len(groups), n_groups, matrix.shape[1])
    at_once = max(1, VALUES_AT_ONCE // max(matrix.shape[1], 1))
    for start in range(0, len(matrix), at_once):
        rows = np.asarray(matrix[start : start + at_once], dtype=np.float64)
        sums.add(groups[:, start : start + at_once], unit_rows(rows) if unit_norm else rows)
    return sums


def all_alike(centroids: Floats) -> bool:
    """Whether mean cells (finite) differ by no more than rounding in float32 explains."""
    spread = np.linalg.norm(centroids - centroids.mean(axis=0), axis=1).max()
    return bool(spread <= ROUNDING_ERROR * np.linalg.norm(centroids, axis=1).mean())


def add_by_group(total: Floats, group: Integers, cells: Floats | sparse.csr_matrix) -> None:
    """Add cells (dense or sparse rows) to the total of their group; cells of group -1 are left out."""
    groups, place = np.unique(group, return_inverse=True)
    sums = membership(place, len(groups))[groups >= 0] @ cells
    groups = groups[groups >= 0]
    if sparse.issparse(sums):
        entries = sums.tocoo()
        total[groups[entries.row], entries.col] += entries.data
    else:
        total[groups] += sums


def membership(group: Integers, n_groups: int) -> sparse.csr_matrix:
    """Groups x cells, 1 where the cell is in the group: its product with cells sums them by group."""
    n_cells = len(group)
    return sparse.csr_matrix((np.ones(n_cells), (group, np.arange(n_cells))), shape=(n_groups, n_cells))


def unit_rows(matrix: Floating) -> Floats:
    """Rows scaled to unit length; rows of zeros stay, and rows that are not finite are NaN."""
    rows = np.asarray(matrix, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray(rows / np.where(length > 0, length, 1.0))
