"""Principal components of cells that are given block by block, always the same for the same cells.

Two routes to the same answer. Where the smaller side of the matrix is small its Gram matrix is decomposed
exactly; else a randomised block Krylov method (Musco and Musco 2015) is used, from a fixed seed. Signs are
fixed: the entry of largest size in each component's gene loadings is positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Array = NDArray[np.float64]

EXACT_UP_TO = 4000
ROWS_AT_ONCE = 2048
KRYLOV_DEPTH = 6
OVERSAMPLING = 20
# below this, relative to the largest, the Gram matrix cannot tell a singular value from zero
ROUNDING = 1e-6


@dataclass(frozen=True)
class Rows:
    """A dense matrix whose rows are made when they are needed: ``block`` makes those from one to another."""

    n_rows: int
    n_columns: int
    block: Callable[[int, int], NDArray[np.floating]]

    @classmethod
    def like(cls, matrix: Any, block: Callable[[int, int], NDArray[np.floating]]) -> Rows:
        """Rows of a matrix with the shape of another."""
        return cls(n_rows=matrix.shape[0], n_columns=matrix.shape[1], block=block)

    def times(self, right: Array) -> Array:
        """The matrix times ``(n_columns, k)``."""
        return np.concatenate([self._rows(start) @ right for start in self._starts()])

    def transposed_times(self, left: Array) -> Array:
        """The transposed matrix times ``(n_rows, k)``."""
        total = np.zeros((self.n_columns, left.shape[1]))
        for start in self._starts():
            total += self._rows(start).T @ left[start : start + ROWS_AT_ONCE]
        return total

    def _starts(self) -> range:
        return range(0, self.n_rows, ROWS_AT_ONCE)

    def _rows(self, start: int) -> Array:
        return np.asarray(self.block(start, min(start + ROWS_AT_ONCE, self.n_rows)), dtype=np.float64)


def principal_components(
    matrix: Rows, n_components: int, seed: int = 0, *, whiten: bool = False
) -> NDArray[np.float32]:
    """Coordinates of the rows on the leading right singular vectors, ``(n_rows, n)``, largest value first.

    They are principal components proper if the columns are centred; fewer where the rank is smaller. Whitened
    ones are scaled to unit mean square.
    """
    n = min(n_components, matrix.n_rows, matrix.n_columns)
    left, singular, right = _decompose(matrix, n, seed)
    rank = int((singular > ROUNDING * singular[0]).sum())
    left, singular, right = left[:, :rank], singular[:rank], right[:, :rank]
    signs = np.sign(right[np.abs(right).argmax(axis=0), np.arange(rank)])
    scale = np.full(rank, np.sqrt(matrix.n_rows)) if whiten else singular
    return np.asarray(left * (signs * scale), dtype=np.float32)


def _decompose(matrix: Rows, n: int, seed: int) -> tuple[Array, Array, Array]:
    """Left vectors, singular values and right vectors, largest first."""
    if matrix.n_columns <= min(EXACT_UP_TO, matrix.n_rows):
        return _from_columns(matrix, n)
    if matrix.n_rows <= EXACT_UP_TO:
        return _from_rows(matrix, n)
    return _krylov(matrix, n, seed)


def _from_columns(matrix: Rows, n: int) -> tuple[Array, Array, Array]:
    gram = np.zeros((matrix.n_columns, matrix.n_columns))
    for start in matrix._starts():
        rows = matrix._rows(start)
        gram += rows.T @ rows
    singular, right = _leading(gram, n)
    return _divide(matrix.times(right), singular), singular, right


def _from_rows(matrix: Rows, n: int) -> tuple[Array, Array, Array]:
    whole = np.concatenate([matrix._rows(start) for start in matrix._starts()])
    singular, left = _leading(whole @ whole.T, n)
    return left, singular, _divide(whole.T @ left, singular)


def _krylov(matrix: Rows, n: int, seed: int) -> tuple[Array, Array, Array]:
    start = np.random.default_rng(seed).standard_normal((matrix.n_columns, n + OVERSAMPLING))
    blocks = [linalg.qr(matrix.times(start), mode="economic")[0]]
    for _ in range(KRYLOV_DEPTH - 1):
        back = linalg.qr(matrix.transposed_times(blocks[-1]), mode="economic")[0]
        blocks.append(linalg.qr(matrix.times(back), mode="economic")[0])
    basis = linalg.qr(np.concatenate(blocks, axis=1), mode="economic")[0]
    projected = matrix.transposed_times(basis)
    singular, within = _leading(projected.T @ projected, n)
    return basis @ within, singular, _divide(projected @ within, singular)


def _leading(gram: Array, n: int) -> tuple[Array, Array]:
    values, vectors = linalg.eigh(gram, subset_by_index=(len(gram) - n, len(gram) - 1))
    return np.sqrt(np.maximum(values[::-1], 0.0)), np.ascontiguousarray(vectors[:, ::-1])


def _divide(vectors: Array, singular: Array) -> Array:
    return vectors / np.where(singular > 0, singular, 1.0)
