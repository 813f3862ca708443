"""A CSR matrix written into an HDF5 group row by row, the same bytes however the rows are cut."""

from __future__ import annotations

import h5py
import numpy as np
from scipy import sparse

CHUNK = 1 << 16
PARTS = (("data", np.float32), ("indices", np.int32))


class CsrWriter:
    """Write the rows of a CSR matrix block by block, as anndata stores it.

    Values are float32, compressed lightly. Memory is bounded by the block.

    Parameters
    ----------
    group
        An empty group, which becomes the matrix.
    n_columns
        Of the matrix.
    """

    def __init__(self, group: h5py.Group, n_columns: int) -> None:
        self._group, self._n_columns = group, n_columns
        self._row_sizes: list[np.ndarray] = []
        self._n_stored = 0
        self._waiting = {name: np.zeros(0, dtype) for name, dtype in PARTS}
        for name, dtype in PARTS:
            group.create_dataset(
                name,
                (0,),
                dtype,
                maxshape=(None,),
                chunks=(CHUNK,),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )

    @property
    def n_rows(self) -> int:
        """Rows written so far."""
        return sum(len(sizes) for sizes in self._row_sizes)

    def append(self, block: sparse.csr_matrix) -> None:
        """Append rows, shape ``(n_rows, n_columns)``."""
        self._row_sizes.append(np.diff(block.indptr))
        for name, values in (("data", block.data), ("indices", block.indices)):
            self._waiting[name] = np.concatenate([self._waiting[name], values])
        self._store(len(self._waiting["data"]) // CHUNK * CHUNK)

    def finish(self) -> None:
        """Write what waits, the row pointers and the shape."""
        self._store(len(self._waiting["data"]))
        sizes = np.concatenate(self._row_sizes) if self._row_sizes else np.zeros(0, dtype=np.int64)
        indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._group["indptr"] = indptr.astype(np.int32 if self._n_stored < 2**31 else np.int64)
        self._group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        self._group.attrs["shape"] = np.array([len(sizes), self._n_columns], dtype=np.int64)

    def _store(self, n_values: int) -> None:
        """Store waiting values chunk by chunk, so that the file does not depend on how the rows were cut."""
        for start in range(0, n_values, CHUNK):
            stop = min(start + CHUNK, n_values)
            for name, waiting in self._waiting.items():
                self._group[name].resize((self._n_stored + stop - start,))
                self._group[name][self._n_stored :] = waiting[start:stop]
            self._n_stored += stop - start
        self._waiting = {name: waiting[n_values:] for name, waiting in self._waiting.items()}
