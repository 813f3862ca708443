"""How alike two representations of the same cells are: linear centred kernel alignment, without its bias.

The plain estimate (Kornblith et al. 2019) of two unrelated representations grows towards 1 with their width
over the number of cells. The debiased one (Nguyen et al. 2021) uses the unbiased estimator of the
Hilbert-Schmidt independence criterion (Song et al. 2012): unrelated representations have an expectation of
zero, and single values may be below it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.arrays import Floats

MIN_CELLS = 4
CELLS_PER_DIMENSION = 4
"""At this number of cells and more, products of columns are cheaper than products of cells."""


def alignment(left: Sequence[Kernel], right: Sequence[Kernel]) -> Floats:
    """Debiased linear CKA, shape ``(len(left), len(right))``; NaN where a representation does not vary."""
    cka = np.full((len(left), len(right)), np.nan)
    for i, kernel in enumerate(left):
        for j, partner in enumerate(right):
            if left is right and j < i:
                cka[i, j] = cka[j, i]
            elif kernel.norm > 0 and partner.norm > 0:
                cka[i, j] = kernel.criterion(partner) / np.sqrt(kernel.norm * partner.norm)
    return cka


class Kernel:
    """The linear kernel of cells (cells x dimensions, every entry finite)."""

    def __init__(self, cells: Floats) -> None:
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


def _largest(values: Floats) -> float:
    """The largest absolute value."""
    return float(np.abs(values).max(initial=0.0))
