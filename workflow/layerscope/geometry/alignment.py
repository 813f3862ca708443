"""How alike two representations of the same cells are: linear centred kernel alignment, without its bias.

The plain estimate (Kornblith et al. 2019) of two unrelated representations grows towards 1 with their width
over the number of cells. The debiased one (Nguyen et al. 2021) uses the unbiased estimator of the
Hilbert-Schmidt independence criterion (Song et al. 2012): unrelated representations have an expectation of
zero, and single values may be below it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MIN_CELLS = 4
CELLS_PER_DIMENSION = 4
"""At this number of cells and more, products of columns are cheaper than products of cells."""


def alignment(left: Sequence[Kernel], right: Sequence[Kernel]) -> Array:
    """Debiased linear CKA of kernels of the same cells.

    Returns
    -------
    Shape ``(len(left), len(right))``; NaN where a representation does not vary.
    """
    cka = np.full((len(left), len(right)), np.nan)
    for row, own in enumerate(left):
        for column, kernel in enumerate(right):
            if left is right and column < row:
                cka[row, column] = cka[column, row]
            elif own.norm > 0 and kernel.norm > 0:
                cka[row, column] = own.criterion(kernel) / np.sqrt(own.norm * kernel.norm)
    return cka


class Kernel:
    """The linear kernel of cells, and what the unbiased criterion needs of it.

    Of few dimensions the cells are kept, of many (:data:`CELLS_PER_DIMENSION`) the matrix of their products,
    cells x cells: whichever makes a comparison cheaper. So memory is cells x cells at most, however wide a
    representation is.

    Parameters
    ----------
    cells
        Cells x dimensions, every entry finite; 4 cells at least.
    """

    def __init__(self, cells: Array) -> None:
        n, dimensions = cells.shape
        if n < MIN_CELLS:
            raise ValueError(f"debiased CKA needs {MIN_CELLS} cells, found {n}")
        centred = cells - cells.mean(axis=0)
        scale = _largest(centred)
        if scale <= 1e-6 * _largest(cells):
            centred = np.zeros((n, 1))
        else:
            centred /= scale
        self.diagonal = np.einsum("ij,ij->i", centred, centred)
        self.narrow = dimensions * CELLS_PER_DIMENSION <= n
        self.matrix = centred if self.narrow else centred @ centred.T
        self.norm = self.criterion(self)

    def criterion(self, other: Kernel) -> float:
        """The unbiased Hilbert-Schmidt independence criterion (Song et al. 2012, equation 5).

        Of the kernels without their diagonals. The rows of a centred kernel sum to zero; without its diagonal
        they sum to minus that.
        """
        n = len(self.diagonal)
        products = float(self.diagonal @ other.diagonal)
        trace = self._trace(other) - products
        totals = float(self.diagonal.sum() * other.diagonal.sum()) / ((n - 1) * (n - 2))
        return (trace + totals - 2.0 * products / (n - 2)) / (n * (n - 3))

    def _trace(self, other: Kernel) -> float:
        """Trace of the product of two kernels, their diagonals with them."""
        if self.narrow and other.narrow:
            return float(np.square(self.matrix.T @ other.matrix).sum())
        if self.narrow:
            return float(np.vdot(other.matrix @ self.matrix, self.matrix))
        if other.narrow:
            return other._trace(self)
        return float(np.vdot(self.matrix, other.matrix))


def _largest(values: Array) -> float:
    """The largest absolute value."""
    return float(np.abs(values).max(initial=0.0))
