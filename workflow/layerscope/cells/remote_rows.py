"""Rows of a matrix in a remote file: fetched by ranges, looked at, fetched once more if they look wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from scipy import sparse

from layerscope.cells.h5ad_file import DamagedDataError
from layerscope.cells.matrix import StoredRows, stored_rows
from layerscope.errors import DataError, SourceError
from layerscope.sources.hdf5_ranges import open_hdf5, row_ranges
from layerscope.sources.remote_file import RemoteFile

LOG = logging.getLogger(__name__)
ROWS_AT_ONCE = 512
LARGEST_VALUE = 1e30
MOST_DOUBTS = 3
MOST_ROUNDS = 3
DAMAGE = (DamagedDataError, OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)


class DamagedError(Exception):
    """What came cannot be the tables of an h5ad file: the file is damaged, or the server sent wrong bytes."""


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Tell damage apart from everything else that can fail while tables are read.

    Raises
    ------
    DamagedError
        If HDF5, or what interprets it, finds something that cannot be.
    """
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(f"{where}: its tables cannot be read ({type(error).__name__}: {error})") from error


class RemoteRows:
    """Rows of a matrix, by position.

    Parameters
    ----------
    remote
        The file.
    matrix_name
        Where in it the matrix is.
    whole_numbers
        Whether its values must be counts.

    Raises
    ------
    DamagedError, SourceError
        If there is no such matrix, or it is not stored by rows.
    """

    def __init__(self, remote: RemoteFile, matrix_name: str, whole_numbers: bool) -> None:
        self._remote, self._name, self._whole_numbers = remote, matrix_name, whole_numbers
        self._doubts = 0
        self._matrix = self._open()

    @property
    def shape(self) -> tuple[int, int]:
        """Cells x genes."""
        return self._matrix.shape

    def fetch(self, rows: np.ndarray) -> int:
        """Fetch rows that are not here yet, many at once; returns the bytes of them, or of their chunks."""
        ranges = self._ranges(rows)
        self._remote.fetch(ranges, "rows")
        return int((ranges[:, 1] - ranges[:, 0]).sum())

    def blocks(self, rows: np.ndarray) -> Iterator[sparse.csr_matrix]:
        """Yield rows in consecutive blocks, float32; what looks wrong is fetched once more.

        Raises
        ------
        SourceError
            If it is wrong again.
        """
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            try:
                block = self._read(part)
            except (DataError, OSError) as error:
                block = self._mended(part, error)
            else:
                if self._doubts < MOST_DOUBTS and few_out_of_order(block):
                    block = self._compared(part, block)
            yield sparse.csr_matrix(block, dtype=np.float32)

    def _open(self) -> StoredRows:
        """Open the matrix, without anything that HDF5 may remember of it."""
        with readable(self._remote.url):
            self._file = open_hdf5(self._remote)
            matrix = stored_rows(self._file[self._name])
        if not isinstance(matrix, StoredRows):
            raise SourceError(f"{self._remote.url}: its matrix is not stored by rows")
        matrix.read_over = 0
        return matrix

    def _ranges(self, rows: np.ndarray) -> np.ndarray:
        with readable(self._remote.url):
            ranges = np.concatenate([row_ranges(*span) for span in self._matrix.spans(rows)])
            if ranges.size and not 0 <= ranges.min() <= ranges.max() <= self._remote.size:
                raise ValueError("rows that lie beyond the end of the file")
        return ranges

    def _read(self, rows: np.ndarray) -> sparse.csr_matrix:
        block = sparse.vstack([block for _, block in self._matrix.blocks(rows)], format="csr")
        demand_sound(block, self._whole_numbers)
        return block

    def _mended(self, rows: np.ndarray, error: Exception) -> sparse.csr_matrix:
        """Rows of which some came wrong: those are fetched once more, a few times if need be."""
        for _ in range(MOST_ROUNDS):
            wrong = [row for row in rows if not self._is_sound(row)]
            LOG.warning("%s; fetching %d rows once more", error, len(wrong))
            self._fetch_anew(np.array(wrong, dtype=np.int64))
            try:
                return self._read(rows)
            except (DataError, OSError) as again:
                error = again
        raise SourceError(
            f"{self._remote.url}: {error}; and again when fetched {MOST_ROUNDS} times more: the file is "
            "damaged, or the server sends wrong bytes"
        ) from error

    def _is_sound(self, row: int) -> bool:
        try:
            self._read(np.array([row]))
        except (DataError, OSError):
            return False
        return True

    def _fetch_anew(self, rows: np.ndarray) -> None:
        ranges = self._ranges(rows)
        self._remote.store.forget(ranges)
        self._remote.fetch(ranges, "rows")
        self._matrix = self._open()

    def _compared(self, rows: np.ndarray, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Rows that look odd, but may be right: right if they come the same a second time."""
        odd = rows[out_of_order(block)]
        before = self._read(odd)
        self._fetch_anew(odd)
        after = self._read(odd)
        self._doubts += all(
            np.array_equal(getattr(before, k), getattr(after, k)) for k in ("data", "indices")
        )
        return self._read(rows)


def demand_sound(block: sparse.csr_matrix, whole_numbers: bool) -> None:
    """Refuse what no matrix of cells can hold.

    Raises
    ------
    DataError
        If values are not finite (or, where they must be, no counts), or a gene occurs twice in a cell.
    """
    data = block.data
    if not np.isfinite(data).all() or np.abs(data).max(initial=0) > LARGEST_VALUE:
        raise DataError("values that no matrix of cells holds")
    if whole_numbers and ((data < 0) | (data != np.rint(data))).any():
        raise DataError("values that are no counts")
    ordered = block.sorted_indices()
    if ((np.diff(ordered.indices) == 0) & _same_cell(block)).any():
        raise DataError("a gene that occurs twice in a cell")


def few_out_of_order(block: sparse.csr_matrix) -> bool:
    """Whether the genes of a few cells, but not of most, come out of order: a sign of wrong bytes."""
    return bool(0 < len(out_of_order(block)) <= block.shape[0] / 2)


def out_of_order(block: sparse.csr_matrix) -> np.ndarray:
    """Positions of the cells whose genes come out of order."""
    falls = (np.diff(block.indices) < 0) & _same_cell(block)
    cells = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    positions: np.ndarray = np.unique(cells[:-1][falls])
    return positions


def _same_cell(block: sparse.csr_matrix) -> np.ndarray:
    """Whether each value and the next belong to one cell, shape ``(n_values - 1,)``."""
    cells = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    same: np.ndarray = np.diff(cells) == 0
    return same
