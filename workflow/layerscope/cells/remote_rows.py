"""Rows of a matrix in a remote file: where they lie, and their values once they have been fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np
from scipy import sparse

from layerscope.cells.h5ad_file import DamagedDataError
from layerscope.errors import SourceError
from layerscope.sources.hdf5_ranges import row_ranges

ROWS_AT_ONCE = 512
DAMAGE = (DamagedDataError, OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)


class DamagedError(SourceError):
    """What came cannot be an h5ad file."""


@contextmanager
def damage_named(url: str) -> Iterator[None]:
    """Tell damage of a remote file apart from everything else that can fail while it is read.

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
        raise DamagedError(
            f"{url}: the file is damaged, or wrong bytes came ({type(error).__name__}: {error}). "
            "Run again: everything is fetched anew"
        ) from error


def demand_rows(file: h5py.File, matrix_name: str) -> None:
    """Refuse a matrix (as the settings name it) that is stored by columns; :class:`SourceError`."""
    matrix = file.get("raw/X" if matrix_name == "raw" else matrix_name)
    if matrix is not None and matrix.attrs.get("encoding-type", "") == "csc_matrix":
        raise SourceError(
            f"{matrix_name}: the matrix is stored by columns (CSC), so rows cannot be fetched alone. "
            "Fetch the whole file and set a local `path`"
        )


def ranges_of_rows(matrix: h5py.Group | h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Byte ranges that hold rows of a CSR or a dense matrix, shape ``(n_ranges, 2)``."""
    if isinstance(matrix, h5py.Dataset):
        return row_ranges(matrix, rows, rows + 1)
    starts = matrix["indptr"][()]
    spans = starts[rows], starts[rows + 1]
    return np.concatenate([row_ranges(matrix[name], *spans) for name in ("data", "indices")])


def read_rows(
    matrix: h5py.Group | h5py.Dataset, rows: np.ndarray, n_genes: int
) -> Iterator[sparse.csr_matrix]:
    """Yield ascending rows in consecutive blocks, float32; each row by itself, so that no gap is read."""
    if isinstance(matrix, h5py.Dataset):
        for part in _blocks(rows):
            yield sparse.csr_matrix(np.vstack([matrix[row] for row in part]), dtype=np.float32)
        return
    starts = matrix["indptr"][()]
    for part in _blocks(rows):
        spans = list(zip(starts[part], starts[part + 1], strict=True))
        values = np.concatenate([matrix["data"][first:last] for first, last in spans])
        genes = np.concatenate([matrix["indices"][first:last] for first, last in spans])
        indptr = np.concatenate([[0], np.cumsum(starts[part + 1] - starts[part])])
        block = sparse.csr_matrix((values, genes, indptr), shape=(len(part), n_genes), dtype=np.float32)
        block.check_format()
        yield block


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]
