"""Counts recovered from normalised values, exactly or not at all."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layerscope.cells.matrix import Blocks, RowMatrix
from layerscope.cells.settings import MAX_DECIMALS, Recovery
from layerscope.errors import DataError

TOLERANCE = 1e-3
SINGLE_PRECISION = 2e-6


def are_rounded(values: np.ndarray, decimals: int) -> np.ndarray:
    """Which values are whole multiples of ``10 ** -decimals``, in single precision."""
    wide = values.astype(np.float64)
    near: np.ndarray = np.abs(wide - np.round(wide, decimals)) <= _spacing(values)
    return near


def decimals_of(values: np.ndarray) -> int | None:
    """The decimals that all of these values were rounded to; None if single precision shows no rounding."""
    finest = float(_spacing(values).max(initial=0.0))
    told = [decimals for decimals in range(1, MAX_DECIMALS + 1) if finest <= 0.1 * 10.0**-decimals]
    return next((decimals for decimals in told if are_rounded(values, decimals).all()), None)


def _spacing(values: np.ndarray) -> np.ndarray:
    spacing: np.ndarray = np.spacing(np.abs(values).astype(np.float32))
    return spacing


def undo(
    block: sparse.csr_matrix, totals: np.ndarray, how: Recovery
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values before a normalisation, how far from whole each may be, and how far rounding alone moved it."""
    values = block.data.astype(np.float64)
    scale = np.repeat(totals, np.diff(block.indptr)) / how.per
    raw = (np.expm1(values) if how.logged else values) * scale
    step = 0.5 * 10.0**-how.decimals if how.decimals else 0.0
    # the farther end of what was rounded to this value: exp(value + step) - exp(value)
    rounding = (raw + scale) * np.expm1(step) if how.logged else scale * step
    return raw, TOLERANCE + SINGLE_PRECISION * np.abs(raw) + rounding, rounding


class RecoveredCounts:
    """Counts by undoing a normalisation: ``expm1(value) * total / per``, rounded to whole numbers."""

    def __init__(
        self, matrix: RowMatrix, totals: np.ndarray, how: Recovery | None = None, where: str = "X"
    ) -> None:
        self._matrix, self._totals = matrix, np.asarray(totals, dtype=np.float64)
        self._how, self._where = how or Recovery(), where
        self.shape, self.dtype = matrix.shape, np.dtype(np.float64)

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`layerscope.cells.matrix.RowMatrix.blocks`; values that are no counts are refused.

        A cell's counts may not add up to more than its total: multiples of counts would be whole numbers too.
        """
        for part, block in self._matrix.blocks(rows):
            raw, tolerance, rounding = undo(block, self._totals[part], self._how)
            self._demand_decimals(block.data, rounding)
            off = ~(np.abs(raw - np.rint(raw)) <= tolerance)
            if off.any():
                raise self._refusal(
                    f"{100 * off.mean():.3g}% of {off.size:,} values are not whole numbers after undoing the "
                    f"normalisation to {self._how.per:g}, such as {_examples(raw[off])}"
                )
            self._demand_total(part, raw, block.indptr)
            yield part, sparse.csr_matrix((np.rint(raw), block.indices, block.indptr), shape=block.shape)

    def _refusal(self, why: str) -> DataError:
        return DataError(
            f"{self._where}: counts cannot be recovered exactly: {why}. Find the raw counts, or set "
            "`values: log_normalised` (then only models that take such values run)"
        )

    def _demand_decimals(self, values: np.ndarray, rounding: np.ndarray) -> None:
        decimals = self._how.decimals
        if not decimals:
            return
        finer = ~are_rounded(values, decimals)
        if finer.any():
            raise DataError(
                f"{self._where}: {100 * finer.mean():.3g}% of the values have more than {decimals} decimals, "
                f"such as {values[finer][0]:.8g}: mend `recover_counts: decimals`, or leave it out"
            )
        coarse = rounding >= 0.5
        if coarse.any():
            raise self._refusal(
                f"{decimals} decimals leave more than one count possible for {100 * coarse.mean():.3g}% of "
                f"the values, such as {_examples(values[coarse])}"
            )

    def _demand_total(self, rows: np.ndarray, raw: np.ndarray, indptr: np.ndarray) -> None:
        cells = np.repeat(np.arange(len(rows)), np.diff(indptr))
        sums = np.bincount(cells, weights=np.rint(raw), minlength=len(rows))
        totals, per = self._totals[rows], self._how.per
        above = sums > totals * (1 + TOLERANCE) + 1
        if above.any():
            ratio = float(np.median(sums[above] / np.maximum(totals[above], 1)))
            raise DataError(
                f"{self._where}: what is recovered adds up to {ratio:.4g} times the cells' totals, so these "
                f"are no counts. Perhaps the values were normalised to {per * ratio:g}, not {per:g}: set "
                "`recover_counts: per`"
            )


def _examples(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4f}" for value in values[:4])
