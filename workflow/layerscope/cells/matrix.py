"""Rows of a matrix of cells, read block by block so that memory is bounded by the block.

The slices are taken with h5py: anndata's ``sparse_dataset`` refuses half precision and 10x files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import h5py
import numpy as np
from scipy import sparse

from layerscope.cells.h5ad_file import DamagedDataError, DamagedRowsError, Table, row_names, where
from layerscope.errors import DataError

ENTRIES_AT_ONCE = 1 << 22
ENTRIES_REORDERED_AT_ONCE = 1 << 23
READ_OVER = 1 << 14
CHUNK = 1 << 16

Blocks = Iterator[tuple[np.ndarray, sparse.csr_matrix]]
Triplets = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]


class RowMatrix(Protocol):
    """A matrix of cells x genes of which rows can be had."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def blocks(self, rows: np.ndarray) -> Blocks:
        """Yield ``rows`` (ascending) in consecutive parts: the row numbers, and their values in CSR form."""
        ...


class StoredRows:
    """Rows of a dense matrix, or of one in CSR form, in an HDF5 file; short gaps between rows are read."""

    def __init__(
        self, stored: Table | np.ndarray, shape: tuple[int, int] | None = None, read_over: int = READ_OVER
    ) -> None:
        self._stored, self._read_over = stored, read_over
        if isinstance(stored, h5py.Group):
            assert shape is not None
            self._data, self._indices = stored["data"], stored["indices"]
            self.shape, self.dtype = shape, np.dtype(self._data.dtype)
            self.starts = stored["indptr"][()].astype(np.int64)
            self._demand_rising_starts()
        else:
            self.shape, self.dtype = (int(stored.shape[0]), int(stored.shape[1])), np.dtype(stored.dtype)
            self.starts = np.arange(self.shape[0] + 1) * max(self.shape[1], 1)

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        for part in _parts(self.starts, rows):
            yield part, self.read(part)

    def read(self, rows: np.ndarray) -> sparse.csr_matrix:
        """Read rows (ascending, at least one)."""
        gaps = self.starts[rows[1:]] - self.starts[rows[:-1] + 1]
        runs = np.split(rows, np.flatnonzero(gaps > self._read_over) + 1)
        spans = [slice(run[0], run[-1] + 1) for run in runs]
        covered = np.concatenate([np.arange(span.start, span.stop) for span in spans])
        if isinstance(self._stored, h5py.Group):
            block = self._entries(spans, covered, rows)
        else:
            block = sparse.csr_matrix(_computable(np.concatenate([self._stored[span] for span in spans])))
        return block if len(covered) == len(rows) else block[np.isin(covered, rows)]

    def spans(self, rows: np.ndarray) -> list[tuple[h5py.Dataset, np.ndarray, np.ndarray]]:
        """The arrays that hold the rows, and of each row its first entry there and the one after its last."""
        if isinstance(self._stored, h5py.Group):
            return [
                (array, self.starts[rows], self.starts[rows + 1]) for array in (self._data, self._indices)
            ]
        return [(self._stored, rows, rows + 1)]

    def _entries(self, spans: list[slice], covered: np.ndarray, rows: np.ndarray) -> sparse.csr_matrix:
        """Read spans of rows, which ``covered`` numbers; ``rows`` with impossible columns are refused."""
        parts = [slice(self.starts[span.start], self.starts[span.stop]) for span in spans]
        data, indices = (np.concatenate([array[p] for p in parts]) for array in (self._data, self._indices))
        lengths = self.starts[covered + 1] - self.starts[covered]
        is_bad = (indices < 0) | (indices >= self.shape[1])
        if is_bad.any():
            row = np.repeat(covered, lengths)
            impossible = is_bad & np.isin(row, rows)
            if impossible.any():
                damaged = np.unique(row[impossible])
                raise DamagedRowsError(
                    f"{where(self._stored)}: a stored matrix is damaged: it has {self.shape[1]} columns, and "
                    f"entries of column {indices[impossible][0]}, in {row_names(damaged)}",
                    damaged,
                )
            indices = np.where(is_bad, 0, indices)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return sparse.csr_matrix((_computable(data), indices, starts), shape=(len(covered), self.shape[1]))

    def _demand_rising_starts(self) -> None:
        n_entries = min(len(self._data), len(self._indices))
        starts = self.starts
        if len(starts) != self.shape[0] + 1 or starts[0] != 0:
            raise DamagedDataError(
                f"{where(self._stored)}: a stored matrix is damaged: {self.shape[0]} rows and {n_entries} "
                f"entries, but {len(starts)} row starts, of which the first is {starts[:1].tolist()}"
            )
        damaged = np.flatnonzero((np.diff(starts) < 0) | (starts[1:] > n_entries))
        if damaged.size:
            raise DamagedRowsError(
                f"{where(self._stored)}: a stored matrix is damaged: {self.shape[0]} rows and {n_entries} "
                f"entries, and what cannot be the end of {row_names(damaged)}",
                damaged,
            )


class SparseRows:
    """Rows of a sparse matrix in memory, which stays as it is."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.tocsr()
        self.shape, self.dtype = self._matrix.shape, np.dtype(self._matrix.dtype)

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        for part in _parts(self._matrix.indptr.astype(np.int64), rows):
            yield part, sparse.csr_matrix(self._matrix[part])


class ReorderedRows:
    """Rows of a matrix whose entries come in any order, sorted by way of a temporary file."""

    def __init__(self, triplets: Triplets, shape: tuple[int, int], dtype: np.dtype[Any], name: str) -> None:
        from anndata.io import write_elem

        self.shape, self.dtype = shape, _computable(np.zeros(0, dtype)).dtype
        self._file = h5py.File(tempfile.TemporaryFile(), "w")  # noqa: SIM115 - it lives as long as the rows
        self._pieces = []
        for number, (rows, columns, values) in enumerate(triplets):
            try:
                piece = sparse.coo_matrix((_computable(values), (rows, columns)), shape=shape)
            except ValueError as error:
                raise DamagedDataError(f"{name}: a stored matrix is damaged: {error}") from error
            write_elem(self._file, str(number), piece.tocsr())
            self._pieces.append(StoredRows(self._file[str(number)], shape))
        self._starts = sum((piece.starts for piece in self._pieces), np.zeros(shape[0] + 1, dtype=np.int64))

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        for part in _parts(self._starts, rows):
            empty = sparse.csr_matrix((len(part), self.shape[1]), dtype=self.dtype)
            yield part, sum((piece.read(part) for piece in self._pieces), empty)


class ChosenColumns:
    """Rows of a matrix of which only some columns (ascending) are kept."""

    def __init__(self, matrix: RowMatrix, columns: np.ndarray) -> None:
        self._matrix, self._columns = matrix, columns
        self.shape, self.dtype = (matrix.shape[0], len(columns)), matrix.dtype

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`RowMatrix.blocks`."""
        for part, block in self._matrix.blocks(rows):
            yield part, block[:, self._columns]


def stored_shape(stored: Table) -> tuple[int, int]:
    """Cells and genes of a matrix in an h5ad file, by what it says of itself."""
    shape = stored.attrs.get("shape", stored.attrs.get("h5sparse_shape"))
    if isinstance(stored, h5py.Dataset):
        shape = stored.shape
    if shape is None:
        raise DamagedDataError(f"{where(stored)}: a stored matrix is damaged: it has no shape")
    n_rows, n_columns = shape
    return int(n_rows), int(n_columns)


def stored_rows(stored: Table) -> RowMatrix:
    """Rows of a matrix in an h5ad file of any version: dense, CSR or CSC; anything else is a DataError."""
    if isinstance(stored, h5py.Dataset):
        if stored.ndim != 2:
            raise DataError(
                f"{where(stored)}: expected a matrix of cells x genes, found the shape {stored.shape}"
            )
        return StoredRows(stored)
    encoding = stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "nothing"))
    kind = (encoding.decode() if isinstance(encoding, bytes) else str(encoding)).removesuffix("_matrix")
    if kind not in ("csr", "csc"):
        raise DataError(f"{where(stored)}: expected a dense, CSR or CSC matrix, found {kind!r}")
    missing = [part for part in ("data", "indices", "indptr") if part not in stored]
    if missing:
        raise DamagedDataError(f"{where(stored)}: a stored matrix is damaged: it has no {missing[0]}")
    shape = stored_shape(stored)
    if kind == "csr":
        return StoredRows(stored, shape)
    return ReorderedRows(_by_columns(stored), shape, np.dtype(stored["data"].dtype), where(stored))


def _by_columns(stored: h5py.Group) -> Triplets:
    """Entries of a CSC matrix."""
    starts = stored["indptr"][()].astype(np.int64)
    for first in range(0, int(starts[-1]), ENTRIES_REORDERED_AT_ONCE):
        entries = np.arange(first, min(first + ENTRIES_REORDERED_AT_ONCE, int(starts[-1])))
        columns = np.searchsorted(starts, entries, side="right") - 1
        part = slice(first, first + len(entries))
        yield stored["indices"][part], columns, stored["data"][part]


def _parts(starts: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Cut rows into parts that span at most ``ENTRIES_AT_ONCE`` stored entries, but at least one row."""
    ends = starts[rows + 1]
    first = 0
    while first < len(rows):
        last = int(np.searchsorted(ends, starts[rows[first]] + ENTRIES_AT_ONCE, side="right"))
        yield rows[first : max(last, first + 1)]
        first = max(last, first + 1)


def _computable(values: np.ndarray) -> np.ndarray:
    """Values as sparse matrices can compute with: half precision in single, in the machine's byte order."""
    half = values.dtype.kind == "f" and values.dtype.itemsize == 2
    return values.astype(np.float32 if half else values.dtype.newbyteorder("="), copy=False)


def append_rows(file: h5py.Group, name: str, block: sparse.csr_matrix) -> None:
    """Append rows to the CSR matrix ``name``, compressed lightly; the first block makes it."""
    from anndata.io import sparse_dataset, write_elem

    if name in file:
        sparse_dataset(file[name], should_cache_indptr=False).append(block)
        return
    layout = {"chunks": (CHUNK,), "compression": "gzip", "compression_opts": 1, "shuffle": True}
    write_elem(file, name, block, dataset_kwargs={**layout, "indptr_dtype": np.int64})


def sample_rows(n_rows: int, size: int) -> np.ndarray:
    """Row numbers of a sample spread evenly over ``n_rows``, ascending."""
    return np.unique(np.linspace(0, max(n_rows - 1, 0), min(size, n_rows)).astype(np.int64))
