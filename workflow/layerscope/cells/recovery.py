"""Counts recovered from normalised values, exactly or not at all."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layerscope.cells.matrix import Blocks, RowMatrix
from layerscope.errors import DataError

TOLERANCE = 1e-3
SINGLE_PRECISION = 2e-6


def undo(
    block: sparse.csr_matrix, totals: np.ndarray, per: float, logged: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Values before a normalisation, and which of them are not whole within 0.001 or single precision."""
    values = block.data.astype(np.float64)
    raw = (np.expm1(values) if logged else values) * np.repeat(totals, np.diff(block.indptr)) / per
    off = ~(np.abs(raw - np.rint(raw)) <= TOLERANCE + SINGLE_PRECISION * np.abs(raw))
    return raw, off


class RecoveredCounts:
    """Counts by undoing a normalisation to ``per``: ``expm1(value) * total / per``, rounded."""

    def __init__(
        self, matrix: RowMatrix, totals: np.ndarray, per: float = 1e4, logged: bool = True, where: str = "X"
    ) -> None:
        self._matrix, self._totals = matrix, np.asarray(totals, dtype=np.float64)
        self._per, self._logged, self._where = per, logged, where
        self.shape, self.dtype = matrix.shape, np.dtype(np.float64)

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`layerscope.cells.matrix.RowMatrix.blocks`; values that are no counts are refused.

        A cell's counts may not add up to more than its total: multiples of counts would be whole numbers too.
        """
        for part, block in self._matrix.blocks(rows):
            raw, off = undo(block, self._totals[part], self._per, self._logged)
            if off.any():
                few = ", ".join(f"{value:.4f}" for value in raw[off][:4])
                raise DataError(
                    f"{self._where}: counts cannot be recovered exactly: {100 * off.mean():.3g}% of "
                    f"{off.size:,} values are not whole numbers after undoing the normalisation to "
                    f"{self._per:g}, such as {few}. Find the raw counts, or set `values: log_normalised` "
                    "(then only models that take such values run)"
                )
            self._demand_total(part, raw, block.indptr)
            yield part, sparse.csr_matrix((np.rint(raw), block.indices, block.indptr), shape=block.shape)

    def _demand_total(self, rows: np.ndarray, raw: np.ndarray, indptr: np.ndarray) -> None:
        cells = np.repeat(np.arange(len(rows)), np.diff(indptr))
        sums = np.bincount(cells, weights=np.rint(raw), minlength=len(rows))
        totals = self._totals[rows]
        above = sums > totals * (1 + TOLERANCE) + 1
        if above.any():
            ratio = float(np.median(sums[above] / np.maximum(totals[above], 1)))
            raise DataError(
                f"{self._where}: what is recovered adds up to {ratio:.4g} times the cells' totals, so these "
                f"are no counts. Perhaps the values were normalised to {self._per * ratio:g}, not "
                f"{self._per:g}: set `recover_counts: per`"
            )
