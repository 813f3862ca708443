"""Sums of a layer's cells over the groups of a design: all that protocol ``strict`` needs of a layer.

An extraction that keeps these (``keep: sums``) needs to store no cell; its memory depends on the groups and
not on the number of cells. Scores from stored cells pass through the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.tasks.perturbation.centroids import VALUES_AT_ONCE, add_by_group, unit_rows
from layerscope.tasks.perturbation.design import Design

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerSums:
    """Sums over groups of cells.

    Attributes
    ----------
    counts
        Cells of each group that the model accepted, shape ``(n_labellings, n_groups)``.
    sums
        Sums of the cells' vectors, shape ``(n_labellings, n_groups, n_dimensions)``.
    """

    counts: NDArray[np.int64]
    sums: Array

    def by_bucket(self, labelling: int, n_buckets: int) -> tuple[Array, NDArray[np.int64]]:
        """Sums and counts of a labelling: items x buckets x dimensions, and items x buckets."""
        sums, counts = self.sums[labelling], self.counts[labelling]
        return sums.reshape(-1, n_buckets, sums.shape[1]), counts.reshape(-1, n_buckets)


class Accumulator:
    """Sums cells of one layer as they come, in any order and any stretches.

    Parameters
    ----------
    design
        Which groups each cell is in.
    n_dimensions
        Width of the layer.
    n_labellings
        Labellings to sum, from the true one on; all of the design if None.
    """

    def __init__(self, design: Design, n_dimensions: int, n_labellings: int | None = None) -> None:
        self._groups = design.groups[:n_labellings]
        self._counts = np.zeros((len(self._groups), design.n_groups), dtype=np.int64)
        self._sums = np.zeros((*self._counts.shape, n_dimensions))

    def add(self, cells: NDArray[np.integer] | slice, matrix: NDArray[np.floating]) -> None:
        """Add cells.

        Parameters
        ----------
        cells
            Which cells of the design these are: indices, or a slice.
        matrix
            Their vectors; a row of NaN is a cell that the model refused.
        """
        rows = np.asarray(matrix, dtype=np.float64)
        usable = np.isfinite(rows).all(axis=1)
        for sums, counts, groups in zip(self._sums, self._counts, self._groups[:, cells], strict=True):
            group = np.where(usable, groups, -1)
            add_by_group(sums, group, rows)
            counts += np.bincount(group[group >= 0], minlength=len(counts))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has been summed so far, by name: views, not copies."""
        return {"counts": self._counts, "sums": self._sums}

    def finish(self) -> LayerSums:
        """The sums of all cells added."""
        return LayerSums(counts=self._counts, sums=self._sums)


def sum_layer(
    matrix: NDArray[np.floating], design: Design, n_labellings: int | None = None, unit_norm: bool = False
) -> LayerSums:
    """Sum the cells of a layer, cells x dimensions, over the groups of a design."""
    sums = Accumulator(design, matrix.shape[1], n_labellings)
    at_once = max(1, VALUES_AT_ONCE // max(matrix.shape[1], 1))
    for start in range(0, len(matrix), at_once):
        rows = matrix[start : start + at_once]
        sums.add(slice(start, start + len(rows)), unit_rows(rows) if unit_norm else rows)
    return sums.finish()
