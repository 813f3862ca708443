"""Rows of a matrix of cells, read block by block from whatever holds them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from scipy import sparse

from layerscope.cells.h5ad_file import DamagedDataError
from layerscope.errors import DataError

ENTRIES_AT_ONCE = 1 << 22
READ_OVER = 1 << 14

Blocks = Iterator[tuple[np.ndarray, sparse.csr_matrix]]


class RowMatrix(Protocol):
    """A matrix of cells x genes of which rows can be had."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def blocks(self, rows: np.ndarray) -> Blocks:
        """Yield ``rows`` (ascending) in consecutive parts: the row numbers, and their values in CSR form."""
        ...


Span = tuple[Any, np.ndarray, np.ndarray]


class SliceableRows(RowMatrix, Protocol):
    """A matrix of which it is known where its rows lie.

    Attributes
    ----------
    read_over
        Entries between wanted rows that are read rather than skipped.
    """

    read_over: int

    def spans(self, rows: np.ndarray) -> list[Span]:
        """Which rows of which stored arrays make up ``rows``: the array, the first and the one after last."""
        ...


class CsrRows:
    """Rows of stored CSR arrays: of an h5ad file, of a 10x file (whose columns are cells), or in memory.

    Parameters
    ----------
    data, indices
        Stored values and their columns; read by slices, never whole.
    indptr
        Where each row starts, shape ``(n_rows + 1,)``.
    shape
        Cells x genes.
    entries_at_once
        Stored entries read at a time: memory is bounded by this, not by the file.

    Raises
    ------
    DataError
        If the arrays do not fit together; and, while rows are read, if a column number is impossible.
    """

    name = "a stored matrix"

    def __init__(
        self,
        data: Any,
        indices: Any,
        indptr: Any,
        shape: tuple[int, int],
        entries_at_once: int | None = None,
    ) -> None:
        self._data, self._indices = data, indices
        self._starts = np.asarray(indptr[()] if isinstance(indptr, h5py.Dataset) else indptr, dtype=np.int64)
        self._entries_at_once = entries_at_once or ENTRIES_AT_ONCE
        self.read_over = READ_OVER
        self.shape, self.dtype = shape, np.dtype(data.dtype)
        if isinstance(data, h5py.Dataset):
            self.name = f"{Path(data.file.filename).name}: {data.parent.name.lstrip('/')}: {self.name}"
        n_entries = min(data.shape[0], indices.shape[0])
        if len(self._starts) != shape[0] + 1 or not _rises(self._starts, n_entries):
            raise DamagedDataError(
                f"{self.name} is damaged: {shape[0]} rows and {n_entries} entries, "
                f"but {len(self._starts)} row starts, of which the last is {self._starts[-1:].tolist()}"
            )

    def spans(self, rows: np.ndarray) -> list[Span]:
        """See :meth:`SliceableRows.spans`."""
        firsts, lasts = self._starts[rows], self._starts[rows + 1]
        return [(self._data, firsts, lasts), (self._indices, firsts, lasts)]

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        firsts, lasts = self._starts[rows], self._starts[rows + 1]
        for part in _parts(firsts, lasts, self._entries_at_once, self.read_over):
            values, columns, sizes = [], [], []
            for run in _runs(firsts[part], lasts[part], self.read_over):
                first, last = firsts[part][run.start], lasts[part][run.stop - 1]
                data, indices = _computable(self._data[first:last]), self._indices[first:last]
                for row in range(run.start, run.stop):
                    inside = slice(firsts[part][row] - first, lasts[part][row] - first)
                    values.append(data[inside])
                    columns.append(indices[inside])
                    sizes.append(inside.stop - inside.start)
            indptr = np.concatenate([[0], np.cumsum(sizes)])
            found = np.concatenate(columns)
            self._demand_columns(found)
            block = (np.concatenate(values), found, indptr)
            yield rows[part], sparse.csr_matrix(block, shape=(len(sizes), self.shape[1]))

    def _demand_columns(self, columns: np.ndarray) -> None:
        if columns.size and not (columns.min() >= 0 and columns.max() < self.shape[1]):
            raise DamagedDataError(
                f"{self.name} is damaged: it has {self.shape[1]} columns, and entries of column "
                f"{columns.min() if columns.min() < 0 else columns.max()}"
            )


class DenseRows:
    """Rows of a stored dense matrix.

    Parameters
    ----------
    stored
        Cells x genes.
    entries_at_once
        See :class:`CsrRows`.
    """

    def __init__(self, stored: h5py.Dataset | np.ndarray, entries_at_once: int | None = None) -> None:
        self._stored = stored
        self.shape, self.dtype = (int(stored.shape[0]), int(stored.shape[1])), np.dtype(stored.dtype)
        self._entries_at_once = entries_at_once or ENTRIES_AT_ONCE
        self.read_over = READ_OVER

    def spans(self, rows: np.ndarray) -> list[Span]:
        """See :meth:`SliceableRows.spans`."""
        return [(self._stored, rows, rows + 1)]

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        width = max(self.shape[1], 1)
        for part in _parts(rows * width, (rows + 1) * width, self._entries_at_once, self.read_over):
            pieces = []
            for run in _runs(rows[part] * width, (rows[part] + 1) * width, self.read_over):
                chosen = rows[part][run]
                rectangle = self._stored[chosen[0] : chosen[-1] + 1]
                pieces.append(sparse.csr_matrix(_computable(rectangle)[chosen - chosen[0]]))
            yield rows[part], sparse.vstack(pieces, format="csr")


class ChosenColumns:
    """Rows of a matrix of which only some columns are kept.

    Parameters
    ----------
    matrix
        The whole matrix.
    columns
        Columns to keep, ascending, shape ``(n_kept,)``.
    """

    def __init__(self, matrix: RowMatrix, columns: np.ndarray) -> None:
        self._matrix, self._columns = matrix, columns
        self.shape, self.dtype = (matrix.shape[0], len(columns)), matrix.dtype

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        for part, block in self._matrix.blocks(rows):
            yield part, block[:, self._columns]


def _rises(starts: np.ndarray, n_entries: int) -> bool:
    """Whether row starts begin at 0, never fall, and end within the entries."""
    return bool(starts[0] == 0 and starts[-1] <= n_entries and (np.diff(starts) >= 0).all())


def _computable(values: np.ndarray) -> np.ndarray:
    """Half-precision values in single precision, in which sparse matrices can compute."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _parts(firsts: np.ndarray, lasts: np.ndarray, budget: int, read_over: int) -> Iterator[slice]:
    """Cut rows into parts whose entries, and the gaps read over between them, stay within a budget."""
    gaps = np.minimum(np.maximum(firsts[1:] - lasts[:-1], 0), read_over)
    ends = np.cumsum((lasts - firsts) + np.concatenate([[0], gaps]) if len(firsts) else firsts)
    start = 0
    while start < len(firsts):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + budget, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _runs(firsts: np.ndarray, lasts: np.ndarray, read_over: int) -> list[slice]:
    """Group rows that lie near enough to be read in one go."""
    breaks = np.flatnonzero(firsts[1:] - lasts[:-1] > read_over) + 1
    edges = [0, *breaks.tolist(), len(firsts)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


Triplets = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]


class SpooledRows(CsrRows):
    """Rows of a matrix that comes by columns or in no order: sorted into CSR form in a temporary folder.

    Parameters
    ----------
    triplets
        Called twice; yields chunks of (rows, columns, values), each shape ``(n_entries,)``.
    shape, dtype
        Of the matrix.
    """

    def __init__(
        self, triplets: Callable[[], Triplets], shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> None:
        sizes = np.zeros(shape[0], dtype=np.int64)
        for rows, _, _ in triplets():
            sizes += np.bincount(rows, minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        self._folder = tempfile.TemporaryDirectory(prefix="layerscope_rows_")
        folder = Path(self._folder.name)
        length = max(int(indptr[-1]), 1)
        data = np.memmap(folder / "data", dtype=dtype, mode="w+", shape=(length,))
        indices = np.memmap(folder / "indices", dtype=np.int32, mode="w+", shape=(length,))
        free = indptr[:-1].copy()
        for rows, columns, values in triplets():
            order = np.argsort(rows, kind="stable")
            sorted_rows = rows[order]
            found, first, n = np.unique(sorted_rows, return_index=True, return_counts=True)
            places = free[sorted_rows] + np.arange(len(order)) - np.repeat(first, n)
            data[places], indices[places] = values[order], columns[order]
            free[found] += n
        super().__init__(data, indices, indptr, shape)


def csc_rows(data: Any, indices: Any, indptr: np.ndarray, shape: tuple[int, int]) -> SpooledRows:
    """Rows of stored CSC arrays (entries column by column)."""
    starts = np.asarray(indptr, dtype=np.int64)

    def triplets() -> Triplets:
        for first in range(0, int(starts[-1]), ENTRIES_AT_ONCE):
            last = min(first + ENTRIES_AT_ONCE, int(starts[-1]))
            columns = np.searchsorted(starts, np.arange(first, last), side="right") - 1
            yield np.asarray(indices[first:last], dtype=np.int64), columns, data[first:last]

    return SpooledRows(triplets, shape, np.dtype(data.dtype))


def stored_rows(stored: h5py.Group | h5py.Dataset) -> RowMatrix:
    """Rows of a matrix in an h5ad file, dense, CSR or CSC, of any version of the format.

    Raises
    ------
    DataError
        If the matrix is none of these, or not two-dimensional.
    """
    where = f"{Path(stored.file.filename).name}: {stored.name.lstrip('/')}"
    if isinstance(stored, h5py.Dataset):
        if stored.ndim != 2:
            raise DataError(f"{where}: expected a matrix of cells x genes, found the shape {stored.shape}")
        return DenseRows(stored)
    found = stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "nothing"))
    kind = (found.decode() if isinstance(found, bytes) else str(found)).removesuffix("_matrix")
    if kind not in ("csr", "csc"):
        raise DataError(f"{where}: expected a dense, CSR or CSC matrix, found {kind!r}")
    missing = [part for part in ("data", "indices", "indptr") if part not in stored]
    if missing:
        raise DamagedDataError(f"{where}: a stored matrix is damaged: it has no {missing[0]}")
    n_rows, n_columns = stored.attrs["shape"] if "shape" in stored.attrs else stored.attrs["h5sparse_shape"]
    shape = (int(n_rows), int(n_columns))
    if kind == "csr":
        return CsrRows(stored["data"], stored["indices"], stored["indptr"], shape)
    return csc_rows(stored["data"], stored["indices"], stored["indptr"][()], shape)


def sample_rows(n_rows: int, size: int) -> np.ndarray:
    """Row numbers of a sample spread evenly over ``n_rows``, ascending."""
    return np.unique(np.linspace(0, max(n_rows - 1, 0), min(size, n_rows)).astype(np.int64))
