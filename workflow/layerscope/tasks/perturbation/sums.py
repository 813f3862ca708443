"""Sums of a layer's cells over the groups of a design: all that protocol ``strict`` needs of a layer.

An extraction that keeps these (``keep: sums``) needs to store no cell; its memory depends on the groups and
not on the number of cells. Scores from stored cells pass through the same sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.tasks.perturbation.centroids import unit_rows
from layerscope.tasks.perturbation.design import Design

Array = NDArray[np.float64]
CELLS_AT_ONCE = 4096


@dataclass(frozen=True)
class LayerSums:
    """Sums over groups of cells.

    Attributes
    ----------
    counts
        Cells of each group that the model accepted, shape ``(n_labellings, n_groups)``.
    sums, squares
        Sums of the cells' vectors and of their squares; shape ``(n_labellings, n_groups, n_dimensions)`` and,
        for the true labels alone, ``(n_groups, n_dimensions)``.
    """

    counts: NDArray[np.int64]
    sums: Array
    squares: Array


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
    unit_norm
        Whether to scale every cell to unit length first.
    """

    def __init__(
        self, design: Design, n_dimensions: int, n_labellings: int | None = None, unit_norm: bool = False
    ) -> None:
        self._groups = design.groups[:n_labellings]
        self._n_groups = design.n_groups
        self._unit_norm = unit_norm
        n = len(self._groups)
        self._counts = np.zeros((n, design.n_groups), dtype=np.int64)
        self._sums = np.zeros((n * design.n_groups, n_dimensions))
        self._squares = np.zeros((design.n_groups, n_dimensions))

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
        groups = np.where(np.isfinite(rows).all(axis=1), self._groups[:, cells], -1)
        labelling, cell = np.nonzero(groups >= 0)
        if not len(cell):
            return
        # only cells and groups that there are: most cells of a large study are in no group
        inside, cell = np.unique(cell, return_inverse=True)
        rows = unit_rows(rows[inside]) if self._unit_norm else rows[inside]
        owner = groups[labelling, inside[cell]] + labelling * self._n_groups
        owners, place = np.unique(owner, return_inverse=True)
        member = sparse.csr_matrix((np.ones(len(cell)), (place, cell)), shape=(len(owners), len(inside)))
        self._sums[owners] += member @ rows
        true = int(np.searchsorted(owners, self._n_groups))
        self._squares[owners[:true]] += member[:true] @ rows**2
        self._counts.reshape(-1)[owners] += np.bincount(place, minlength=len(owners))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has been summed so far, by name: views, not copies."""
        return {"counts": self._counts, "sums": self._sums, "squares": self._squares}

    def finish(self) -> LayerSums:
        """The sums of all cells added."""
        shape = (*self._counts.shape, self._sums.shape[1])
        return LayerSums(counts=self._counts, sums=self._sums.reshape(shape), squares=self._squares)


def sum_layer(
    matrix: NDArray[np.floating], design: Design, n_labellings: int | None = None, unit_norm: bool = False
) -> LayerSums:
    """Sum the cells of a stored layer, cells x dimensions, over the groups of a design."""
    sums = Accumulator(design, matrix.shape[1], n_labellings, unit_norm)
    for start in range(0, len(matrix), CELLS_AT_ONCE):
        stretch = slice(start, min(start + CELLS_AT_ONCE, len(matrix)))
        sums.add(stretch, matrix[stretch])
    return sums.finish()
