"""The cells' matrix, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
from scipy import sparse

ROWS_AT_ONCE = 4096


def csr_blocks(matrix: h5py.Group) -> Iterator[tuple[int, sparse.csr_matrix]]:
    """Yield the first row and the rows of each block of a CSR matrix in a file."""
    n_rows, n_columns = (int(size) for size in matrix.attrs["shape"])
    indptr = matrix["indptr"][()].astype(np.int64)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        end = min(start + ROWS_AT_ONCE, n_rows)
        values = slice(indptr[start], indptr[end])
        yield (
            start,
            sparse.csr_matrix(
                (matrix["data"][values], matrix["indices"][values], indptr[start : end + 1] - indptr[start]),
                shape=(end - start, n_columns),
            ),
        )
