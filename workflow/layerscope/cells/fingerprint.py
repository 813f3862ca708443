"""Which transformation made the values of a matrix: told from a sample of its cells.

Counts leave a fingerprint that survives normalisation. Within a cell, whatever its size factor, the values
*before* any logarithm are whole multiples of one number (its value of a single count); and where all genes
are there, they add up to the same total in every cell. Undoing a supposed logarithm brings the fingerprint
back if, and only if, the supposition is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

Kind = Literal[
    "counts",
    "log_normalised",
    "log_counts",
    "log2",
    "log10",
    "doubly_logged",
    "square_root",
    "normalised",
    "scaled",
    "negative",
    "not_finite",
    "perhaps_logged",
    "fractional",
    "nearly_whole",
    "binary",
    "rounded",
    "text",
    "empty",
]

TOTALS_ALIKE = 2e-3
NEAR_WHOLE = 0.03
MIN_SHARE_WHOLE = 0.97
MIN_VALUES = 5
MAX_MULTIPLE = 30.0
MAX_JUDGED = 300.0
MIN_SHARE_FRACTIONAL = 0.5
ROUNDING = 2e-6
MIN_ONES = 2000
MAX_LOGGED = 30.0

Inverse = Callable[[np.ndarray], np.ndarray]
LOGARITHMS: tuple[tuple[Kind, Inverse, float], ...] = (
    ("log_normalised", np.expm1, MAX_LOGGED),
    ("log2", lambda v: np.exp2(v) - 1, MAX_LOGGED),
    ("log10", lambda v: np.power(10.0, v) - 1, 12.0),
    ("doubly_logged", lambda v: np.expm1(np.expm1(v)), 4.0),
)


@dataclass(frozen=True)
class Fingerprint:
    """What a sample of cells looks like: ``kind`` is the transformation that its values show.

    ``n_values`` and ``n_fractional`` count values other than zero; ``smallest`` and ``largest`` include the
    zeros; ``total`` is that of every cell before any logarithm, where all have the same, else 0.
    """

    kind: Kind
    n_values: int = 0
    n_fractional: int = 0
    smallest: float = 0.0
    largest: float = 0.0
    examples: tuple[float, ...] = ()
    total: float = 0.0

    def seen(self) -> str:
        """Say what was seen: smallest, largest, share of non-integers, a few values."""
        if self.kind == "text":
            return "numbers written as text, or words"
        if not self.n_values:
            return "no value is other than 0"
        share = 100 * self.n_fractional / self.n_values
        few = ", ".join(f"{value:.4g}" for value in self.examples)
        return (
            f"min {self.smallest:.4g}, max {self.largest:.4g}, {share:.3g}% of {self.n_values:,} non-zero "
            f"values are not whole numbers; a few: {few}"
        )


def fingerprint(sample: sparse.csr_matrix) -> Fingerprint:
    """Tell which transformation made a sample of some hundred cells x genes, in single precision at least."""
    if sample.dtype.kind not in "biuf":
        return Fingerprint("text")
    rows = [row for row in np.split(sample.data.astype(np.float64), sample.indptr[1:-1]) if row.any()]
    rows = [row[row != 0] for row in rows]
    values = np.concatenate(rows) if rows else np.zeros(0)
    if not values.size:
        return Fingerprint("empty")
    finite = values[np.isfinite(values)]
    whole = values == np.rint(values)
    smallest = min(float(finite.min(initial=np.inf)), 0.0 if sample.nnz < np.prod(sample.shape) else np.inf)
    kind, total = _kind(sample, rows, values, bool(whole.all()))
    odd = values[~whole] if kind not in ("negative", "scaled") else values[values < 0]
    few = (odd if odd.size else values)[:4]
    return Fingerprint(
        kind,
        n_values=int(values.size),
        n_fractional=int((~whole).sum()),
        smallest=smallest,
        largest=float(finite.max(initial=-np.inf)),
        examples=tuple(float(value) for value in few),
        total=total,
    )


def _kind(
    sample: sparse.csr_matrix, rows: list[np.ndarray], values: np.ndarray, whole: bool
) -> tuple[Kind, float]:
    if not np.isfinite(values).all():
        return "not_finite", 0.0
    if values.min() < 0:
        return ("scaled" if _is_scaled(sample) else "negative"), 0.0
    if whole:
        return _whole_kind(rows, values)
    return _positive_kind(rows, values)


def _whole_kind(rows: list[np.ndarray], values: np.ndarray) -> tuple[Kind, float]:
    """Counts, unless they are ones alone, or the same total was given to all cells and then rounded."""
    if values.size >= MIN_ONES and values.max() == 1:
        return "binary", 0.0
    if np.median([row.min() for row in rows]) > 1 and _constant_total(rows):
        return "rounded", _constant_total(rows)
    return "counts", 0.0


def _positive_kind(rows: list[np.ndarray], values: np.ndarray) -> tuple[Kind, float]:
    largest = values.max()
    odd = values[values != np.rint(values)]
    if (np.abs(odd - np.rint(odd)) <= ROUNDING * np.rint(odd)).all():
        return "nearly_whole", 0.0
    if largest < MAX_LOGGED and (_whole(np.expm1(odd)) or _whole(np.exp2(odd) - 1)):
        return "log_counts", 0.0
    if _whole(odd**2):
        return "square_root", 0.0
    if odd.size < MIN_SHARE_FRACTIONAL * values.size:
        return "fractional", 0.0
    if _constant_total(rows) or _multiples(rows):
        return "normalised", _constant_total(rows)
    undone = [(kind, [inverse(row) for row in rows]) for kind, inverse, most in LOGARITHMS if largest < most]
    for kind, before in undone:
        if _constant_total(before):
            return kind, _constant_total(before)
    for kind, before in undone:
        if _multiples(before):
            return kind, 0.0
    return ("perhaps_logged" if largest < MAX_LOGGED else "fractional"), 0.0


def _constant_total(rows: list[np.ndarray]) -> float:
    """Total of every cell if all have the same (and there are at least three cells), else 0."""
    totals = np.array([row.sum() for row in rows])
    if len(totals) < 3 or not np.isfinite(totals).all() or totals.std() > TOTALS_ALIKE * totals.mean():
        return 0.0
    return float(np.median(totals))


def _multiples(rows: list[np.ndarray]) -> bool:
    """Whether, in most cells, all values are whole multiples of the smallest one."""
    passed = judged = 0
    for row in rows:
        ratios = row / row.min()
        ratios = ratios[(ratios > 1 + NEAR_WHOLE) & (ratios < MAX_MULTIPLE)]
        if ratios.size >= MIN_VALUES:
            judged += 1
            passed += (np.abs(ratios - np.rint(ratios)) < NEAR_WHOLE).mean() >= MIN_SHARE_WHOLE
    return judged > 0 and passed > judged / 2


def _whole(values: np.ndarray) -> bool:
    """Whether these values are mostly small, and whole up to the single precision of their logarithms."""
    small = values[values < MAX_JUDGED]
    if small.size < max(MIN_VALUES, values.size / 2):
        return False
    off = np.abs(small - np.rint(small))
    return bool((off <= 1e-4 * np.maximum(small, 1)).mean() > MIN_SHARE_WHOLE)


def _is_scaled(sample: sparse.csr_matrix) -> bool:
    """Whether the genes' means are near zero and their spread near one (or clipped below it)."""
    dense = sample.astype(np.float64).toarray()
    spread = dense.std(axis=0)
    means = np.abs(dense.mean(axis=0))[spread > 0]
    return bool(means.size and np.median(means) < 0.25 and 0.5 < np.median(spread[spread > 0]) < 1.5)
