"""HDF5 files whose writers compressed them with more than HDF5 has: zstd, blosc, lz4 and others."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - makes the filters known to HDF5

from layerscope.cells.h5ad_file import open_h5ad


def open_compressed(path: str | Path) -> h5py.File:
    """Open an h5ad file that anyone may have written; see :func:`layerscope.cells.h5ad_file.open_h5ad`."""
    return open_h5ad(path)
