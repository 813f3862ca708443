"""A zarr store of cells, copied node by node into a temporary HDF5 file: anndata lays both out alike."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from layerscope.cells.filters import open_compressed
from layerscope.cells.formats import ZARR_MARKS
from layerscope.errors import DataError

VALUES_AT_ONCE = 1 << 22


def open_store(path: str | Path) -> h5py.File:
    """Open an h5ad file, or a zarr store as if it were one; DataError if it is neither, or cannot be read."""
    path = Path(path)
    is_zarr = path.is_dir() and any((path / mark).is_file() for mark in ZARR_MARKS)
    return open_zarr(path) if is_zarr else open_compressed(path)


def open_zarr(path: Path) -> h5py.File:
    """Open a zarr store as if it were an h5ad file of the same name; its copy is gone when it is closed."""
    import zarr

    folder = tempfile.TemporaryDirectory()
    with folder:  # the open file outlives its name
        copy = Path(folder.name, path.name)
        with h5py.File(copy, "w") as file:
            try:
                _copy(zarr.open_group(path, mode="r"), file)
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise DataError(f"{path}: this zarr store cannot be read: {error}") from error
        return h5py.File(copy, "r")


def _copy(store: Any, file: h5py.File) -> None:
    """Copy all groups and arrays of a store."""
    _copy_attributes(store, file)
    for name, member in store.members(max_depth=None):
        if hasattr(member, "shape"):
            _copy_array(member, file, name)
        else:
            _copy_attributes(member, file.require_group(name))


def _copy_array(array: Any, target: h5py.Group, name: str) -> None:
    """Copy an array in blocks of rows; text of any kind becomes HDF5's."""
    is_text = array.dtype.kind in "OUST"
    kind = h5py.string_dtype() if is_text else array.dtype
    dataset = target.create_dataset(name, shape=array.shape, dtype=kind)
    _copy_attributes(array, dataset)
    if array.shape == ():
        dataset[()] = str(array[()]) if is_text else array[()]
        return
    rows = max(VALUES_AT_ONCE // max(int(np.prod(array.shape[1:])), 1), 1)
    for first in range(0, array.shape[0], rows):
        block = array[first : first + rows]
        dataset[first : first + rows] = block.astype(object) if is_text else block


def _copy_attributes(source: Any, target: h5py.Group | h5py.Dataset) -> None:
    for key, value in source.attrs.items():
        if isinstance(value, list):
            is_text = not value or isinstance(value[0], str)
            target.attrs[key] = np.array(value, dtype=h5py.string_dtype() if is_text else None)
        elif value is not None:
            target.attrs[key] = value
