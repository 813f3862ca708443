"""The input guard: values are what the study says they are, or they are refused with what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from layerscope.cells.fingerprint import MAX_LOGGED, Fingerprint, Kind, fingerprint
from layerscope.cells.matrix import RowMatrix, sample_rows
from layerscope.errors import DataError

SAMPLE = 400
MAX_COUNT = 1 << 24
WORDS: dict[Kind, str] = {
    "counts": "raw counts",
    "log_normalised": "natural log-normalised values (log1p of normalised counts)",
    "log_counts": "logarithms of raw counts (never normalised for depth)",
    "log2": "log2(1 + normalised counts)",
    "log10": "log10(1 + normalised counts)",
    "doubly_logged": "values that were log-transformed twice",
    "square_root": "square roots of counts",
    "normalised": "library-size normalised values, not logged",
    "scaled": "scaled values (z-scores per gene)",
    "negative": "negative values",
    "not_finite": "values that are not finite numbers (NaN or infinite)",
    "perhaps_logged": "small non-integers of a transformation that cannot be told",
    "fractional": "non-integers that are no counts (corrected counts, TPM or the like)",
    "nearly_whole": "whole numbers but for rounding errors",
    "binary": "ones alone: counts of which only their presence was kept",
    "rounded": "normalised values that were rounded",
    "text": "text instead of numbers",
    "empty": "nothing but zeros",
}
ACCEPTED: dict[str, tuple[Kind, ...]] = {
    "counts": ("counts",),
    "log_normalised": ("log_normalised", "perhaps_logged"),
    "normalised": ("normalised",),
}
UNLOGGED = ("counts", "normalised", "fractional", "perhaps_logged", "nearly_whole", "rounded")


def words(seen: Fingerprint) -> str:
    """Say in words what a fingerprint means."""
    if seen.kind == "normalised" and seen.total:
        unit = "counts per million" if abs(seen.total / 1e6 - 1) < 1e-2 else f"{seen.total:,.0f} per cell"
        return f"library-size normalised values ({unit}), not logged"
    return WORDS[seen.kind]


def judge(matrix: RowMatrix, rows: np.ndarray) -> Fingerprint:
    """Fingerprint of at most 400 of ``rows``, spread evenly; of text, without reading it."""
    if matrix.dtype.kind not in "biuf":
        return Fingerprint("text")
    blocks = [block for _, block in matrix.blocks(rows[sample_rows(len(rows), SAMPLE)])]
    return fingerprint(sparse.vstack(blocks, format="csr")) if blocks else Fingerprint("empty")


def admit(seen: Fingerprint, values: str, where: str, remedy: str = "") -> str:
    """Accept a sample that is what the study says, or refuse it with a DataError.

    Parameters
    ----------
    seen
        Of a sample of the matrix.
    values
        What the study says: ``counts``, ``log_normalised`` or ``normalised``.
    where
        File and matrix, for the message.
    remedy
        Where the right values probably are.

    Returns
    -------
    A sentence on what was seen, for log and provenance.
    """
    if seen.kind in ACCEPTED[values]:
        remark = " (which fits no known transformation: the study's word is taken)"
        return f"{words(seen)}{remark if seen.kind == 'perhaps_logged' else ''}: {seen.seen()}"
    raise DataError(
        f"{where}: the study says `values: {values}`, but this looks like {words(seen)}: {seen.seen()}. "
        f"{remedy or _remedy(seen)}"
    )


def admit_unlogged(seen: Fingerprint, where: str) -> str:
    """Accept a sample that may be counts, corrected or scaled ones included, for a model that takes those.

    What shows logarithms, z-scores or the like is refused. Parameters and result as for :func:`admit`.
    """
    if seen.kind in UNLOGGED:
        remark = "" if seen.kind == "counts" else " (which the model takes; logarithms it would misread)"
        return f"{words(seen)}{remark}: {seen.seen()}"
    raise DataError(
        f"{where}: the model needs counts or values in proportion to them, but this looks like "
        f"{words(seen)}: {seen.seen()}. Find the raw counts"
    )


def _remedy(seen: Fingerprint) -> str:
    if seen.kind == "nearly_whole":
        return "If they are counts, round them (numpy.rint) and store them again"
    if seen.kind == "text":
        return "Store the values as numbers"
    fitting = [values for values, kinds in ACCEPTED.items() if seen.kind in kinds]
    if not fitting:
        return "No model can use such values; find the raw counts"
    limit = " (then only the models that take such values run)" if fitting != ["counts"] else ""
    return f"If that is right, set `values: {fitting[0]}`{limit}"


@dataclass
class StreamGuard:
    """Look at every value while it passes; ``where``, ``cell_ids`` and ``genes`` name it in messages."""

    where: str
    values: str
    cell_ids: Sequence[str]
    genes: Sequence[str]

    def check(self, rows: np.ndarray, block: sparse.csr_matrix) -> None:
        """Refuse a block at its first value that is negative, not finite, or (for counts) not whole."""
        data = block.data
        self._refuse(~np.isfinite(data), rows, block, "not finite numbers")
        self._refuse(data < 0, rows, block, "negative")
        if self.values == "counts":
            self._refuse(data != np.rint(data), rows, block, "not whole numbers, and counts are")
            self._refuse(data > MAX_COUNT, rows, block, f"above {MAX_COUNT:,}, and no count is")
        elif self.values == "log_normalised":
            self._refuse(data >= MAX_LOGGED, rows, block, "too large for a logarithm")

    def _refuse(self, bad: np.ndarray, rows: np.ndarray, block: sparse.csr_matrix, what: str) -> None:
        if not bad.any():
            return
        entry = int(np.flatnonzero(bad)[0])
        row = int(np.searchsorted(block.indptr, entry, side="right")) - 1
        share = 100 * bad.mean()
        raise DataError(
            f"{self.where}: {bad.sum():,} of {len(bad):,} values ({share:.3g}%) from cell "
            f"{self.cell_ids[int(rows[row])]!r} on are {what}; the first is {block.data[entry]:.6g} in gene "
            f"{self.genes[int(block.indices[entry])]!r}"
        )
