"""The cells' matrix, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
from scipy import sparse

from layerscope.cells.matrix import StoredRows, stored_shape

ROWS_AT_ONCE = 4096


def csr_blocks(matrix: h5py.Group) -> Iterator[tuple[slice, sparse.csr_matrix]]:
    """Yield some rows of a CSR matrix in a file at a time, first to last."""
    stored = StoredRows(matrix, stored_shape(matrix))
    for start in range(0, stored.shape[0], ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, stored.shape[0]))
        yield rows, stored.read(np.arange(rows.start, rows.stop))
