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
from threadpoolctl import threadpool_limits

Array = NDArray[np.float64]
MIN_CELLS = 4


def debiased_cka(representations: Sequence[Array], others: Sequence[Array] | None = None) -> Array:
    """Debiased linear CKA of every representation with every other.

    Parameters
    ----------
    representations
        Each cells x dimensions (dimensions may differ, cells not), every entry finite; 4 cells at least.
    others
        What to compare them with; themselves if None.

    Returns
    -------
    Shape ``(len(representations), len(others))``; NaN where a representation does not vary.
    """
    left = [_Kernel(one) for one in representations]
    right = left if others is None else [_Kernel(one) for one in others]
    found = np.full((len(left), len(right)), np.nan)
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            if others is None and column < row:
                found[row, column] = found[column, row]
            elif one.own > 0 and other.own > 0:
                found[row, column] = one.criterion(other) / np.sqrt(one.own * other.own)
    return found


class _Kernel:
    """A linear kernel of cells without its diagonal, and what the unbiased criterion needs of it."""

    def __init__(self, cells: Array) -> None:
        if len(cells) < MIN_CELLS:
            raise ValueError(f"debiased CKA needs {MIN_CELLS} cells, found {len(cells)}")
        centred = cells - cells.mean(axis=0)
        scale = np.abs(centred).max(initial=0.0)
        constant = scale <= 1e-6 * np.abs(cells).max(initial=0.0)
        with threadpool_limits(1):
            self.matrix = (
                (centred / scale) @ (centred / scale).T if not constant else np.zeros((len(cells),) * 2)
            )
        np.fill_diagonal(self.matrix, 0.0)
        self.rows = self.matrix.sum(axis=0)
        self.total = float(self.rows.sum())
        self.own = self.criterion(self)

    def criterion(self, other: _Kernel) -> float:
        """The unbiased Hilbert-Schmidt independence criterion (Song et al. 2012, equation 5)."""
        n = len(self.matrix)
        trace = float(np.einsum("ij,ij->", self.matrix, other.matrix))
        totals = self.total * other.total / ((n - 1) * (n - 2))
        rows = 2.0 * float(self.rows @ other.rows) / (n - 2)
        return (trace + totals - rows) / (n * (n - 3))
