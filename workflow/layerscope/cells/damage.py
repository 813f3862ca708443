"""Rows that cannot be what was written: bytes flip on the way or on a disk, and no checksum covers them.

Three rules hold for a file or do not concern it: counts are whole numbers; the genes of a row ascend; their
number and sum are those in the owners' columns. Where many rows obey a rule, those that cannot are damaged.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from layerscope.cells.h5ad_file import DamagedRowsError, row_names

OWNERS_SUMS = ("total_counts", "n_genes_by_counts")
ALMOST = 0.05  # a row in no order has more neighbours in the wrong order, one with flipped bytes fewer
OBEY = 0.1  # share of the rows that obey a rule by chance in no file
ROUNDING = 1e-6  # of sums in single precision


class RowChecks:
    """Looks at rows as they are read, and names those that are damaged when all have been seen.

    ``total`` and ``n_genes`` are the owners' sum of every row's values, and how many are not 0; NaN: unknown.
    """

    def __init__(self, total: np.ndarray, n_genes: np.ndarray, are_counts: bool) -> None:
        self._total, self._n_genes, self._are_counts = total, n_genes, are_counts
        self._rows: list[np.ndarray] = []
        self._fits: dict[str, list[np.ndarray]] = {}
        self._damaged: dict[str, list[np.ndarray]] = {}

    def look(self, rows: np.ndarray, block: sparse.csr_matrix) -> None:
        """Note what fits and what does not of some rows and their values."""
        row_of, values = np.repeat(np.arange(len(rows)), np.diff(block.indptr)), block.data

        def count(entries: np.ndarray) -> np.ndarray:
            return np.bincount(row_of[entries], minlength=len(rows))

        self._rows.append(rows)
        if self._are_counts:
            with np.errstate(invalid="ignore"):
                broken = count(~((values >= 0) & (values == np.rint(values)) & np.isfinite(values)))
            self._note("values that are no counts", broken == 0, broken > 0)
        is_disordered = np.zeros(len(values), dtype=bool)
        is_disordered[1:] = (np.diff(block.indices) <= 0) & (np.diff(row_of) == 0)
        disordered = count(is_disordered)
        almost = (disordered > 0) & (disordered <= np.maximum(ALMOST * np.diff(block.indptr), 2))
        self._note("genes out of order, or twice", disordered == 0, almost)
        total, n_genes = self._total[rows], self._n_genes[rows]
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.bincount(row_of, values.astype(np.float64), minlength=len(rows))
            less = total - sums
            same = np.abs(less) <= ROUNDING * np.maximum(np.abs(total), 1)
            fewer = n_genes - count(values != 0)
            # owners may have left genes out afterwards, each of which had one count or more
            impossible = ~same & ~((fewer > 0) & (less >= fewer))
            impossible |= (fewer < 0) | (same & (fewer > 0))
        known = ~np.isnan(total) & ~np.isnan(n_genes)
        words = f"sums other than obs has in {' and '.join(OWNERS_SUMS)}"
        self._note(words, known & same & (fewer == 0), known & impossible)

    def _note(self, words: str, fits: np.ndarray, damaged: np.ndarray) -> None:
        self._fits.setdefault(words, []).append(fits)
        self._damaged.setdefault(words, []).append(damaged)

    def demand(self, where: str) -> None:
        """Refuse the rows that cannot obey a rule of this file; :class:`DamagedRowsError`."""
        for words, fits in self._fits.items():
            damaged = np.concatenate(self._damaged[words])
            if damaged.any() and np.concatenate(fits).mean() > OBEY:
                rows = np.concatenate(self._rows)[damaged]
                raise DamagedRowsError(f"{where}: {words}, in {row_names(rows)}", rows)
