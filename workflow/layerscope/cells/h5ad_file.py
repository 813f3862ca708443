"""What an h5ad file holds, read with h5py alone: tables by column, never more than is asked for.

Works on local files and on remote ones (any file object that h5py opens), and imports in a fraction of the
time that anndata takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np
import pandas as pd

from layerscope.errors import DataError

EVERY = slice(None)
NAMES_AT_ONCE = 4096


class DamagedDataError(DataError):
    """Part of a file cannot be what it says it is: it was cut off, or its bytes were changed."""


def open_h5ad(path: str | Path) -> h5py.File:
    """Open an h5ad file for reading.

    Raises
    ------
    DataError
        If there is no such file, or it is not HDF5 (truncated, say).
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; {_reason(error)}). "
            "It may be truncated, or compressed (gunzip it first)"
        ) from error


def _reason(error: OSError) -> str:
    return str(error).rpartition("(")[2].rstrip(")") or str(error)


def column_names(table: h5py.Group | h5py.Dataset) -> list[str]:
    """Names of the columns of a stored table (``obs`` or ``var``), in the stored order, without its index."""
    if isinstance(table, h5py.Dataset):
        fields = list(table.dtype.names or ())
        return fields[1:] if fields and fields[0] in ("index", "_index") else fields
    index = index_name(table)
    order = [_text(name) for name in table.attrs.get("column-order", []) if _text(name) in table]
    return order or [name for name in table if name not in (index, "__categories")]


def index_name(table: h5py.Group) -> str:
    """Name under which a stored table keeps its index."""
    stored = _text(table.attrs.get("_index", "_index"))
    return stored if stored in table else "index"


def read_index(table: h5py.Group | h5py.Dataset, rows: slice = EVERY) -> list[str]:
    """Read the index of a stored table, or some rows of it: cell ids of ``obs``, gene names of ``var``.

    Raises
    ------
    DataError
        If the table has none.
    """
    if isinstance(table, h5py.Dataset):
        if not table.dtype.names:
            raise DamagedDataError(f"{_where(table)}: expected a table, found an array of {table.dtype}")
        return [_text(name) for name in table.fields(table.dtype.names[0])[rows]]
    return [_text(name) for name in _plain(_index(table), rows)]


class RowNames(Sequence[str]):
    """The index of a stored table, read when it is asked for; no more than a few thousand names at a time.

    Parameters
    ----------
    table
        ``obs`` or ``var`` of a file that stays open.
    rows
        The rows whose names these are; all by default.

    Raises
    ------
    DataError
        If the table has no index.
    """

    def __init__(self, table: h5py.Group | h5py.Dataset, rows: range | None = None) -> None:
        self._table = table
        self._rows = range(_n_rows(table)) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> RowNames: ...

    def __getitem__(self, place: int | slice) -> str | RowNames:
        if isinstance(place, slice):
            return RowNames(self._table, self._rows[place])
        row = self._rows[place]
        return read_index(self._table, slice(row, row + 1))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), NAMES_AT_ONCE):
            rows = self._rows[start : start + NAMES_AT_ONCE]
            yield from read_index(self._table, slice(rows.start, rows.stop, rows.step))


def _index(table: h5py.Group) -> h5py.Dataset | h5py.Group:
    if index_name(table) not in table:
        raise DamagedDataError(f"{_where(table)}: this table has no index (the names of its rows)")
    return table[index_name(table)]


def _n_rows(table: h5py.Group | h5py.Dataset) -> int:
    stored = table if isinstance(table, h5py.Dataset) else _index(table)
    if isinstance(stored, h5py.Group):
        stored = stored["codes" if "codes" in stored else "values"]
    return len(stored)


def read_column(table: h5py.Group | h5py.Dataset, name: str) -> pd.Series:
    """Read one column of a stored table, whatever its encoding; categories stay categories.

    Raises
    ------
    DataError
        If the column's encoding is not one that anndata has used for columns, or it is damaged.
    """
    column = _column(table, name)
    if isinstance(table, h5py.Group) and isinstance(index := table.get(index_name(table)), h5py.Dataset):
        n_rows = len(index)
        if len(column) != n_rows:
            raise DamagedDataError(
                f"{_where(table)}: column {name!r} has {len(column)} rows, the table {n_rows}: it is damaged"
            )
    return column


def _column(table: h5py.Group | h5py.Dataset, name: str) -> pd.Series:
    if isinstance(table, h5py.Dataset):
        return pd.Series(_plain_array(table[name]), name=name)
    stored = table[name]
    if isinstance(stored, h5py.Group):
        return pd.Series(_encoded(stored, name), name=name)
    if "categories" in stored.attrs:
        categories = table[stored.attrs["categories"]]
        ordered = bool(categories.attrs.get("ordered", False))
        return pd.Series(_categorical(stored[()], _plain(categories), ordered), name=name)
    return pd.Series(_plain(stored), name=name)


def read_table(table: h5py.Group | h5py.Dataset, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a stored table, or only the named columns of it (which must exist)."""
    wanted = column_names(table) if columns is None else list(columns)
    read = {name: read_column(table, name) for name in wanted}
    frame = pd.DataFrame(read)
    frame.index = pd.Index(read_index(table), dtype=object)
    return frame


def _encoded(group: h5py.Group, name: str, rows: slice = EVERY) -> Any:
    encoding = _text(group.attrs.get("encoding-type", ""))
    if encoding == "categorical":
        ordered = bool(group.attrs.get("ordered", False))
        return _categorical(group["codes"][rows], _plain(group["categories"]), ordered)
    if encoding in ("nullable-integer", "nullable-boolean", "nullable-string-array"):
        values = pd.Series(_plain(group["values"], rows)).astype(object)
        values[np.asarray(group["mask"][rows], dtype=bool)] = None
        return values.infer_objects()
    raise DamagedDataError(f"{_where(group)}: column {name!r}: the encoding {encoding!r} is unknown")


def _where(part: h5py.Group | h5py.Dataset) -> str:
    return f"{Path(part.file.filename).name}: {part.name.lstrip('/')}"


def _categorical(codes: np.ndarray, categories: np.ndarray, ordered: bool) -> pd.Categorical:
    codes = np.asarray(codes, dtype=np.int64)
    try:
        return pd.Categorical.from_codes(codes, categories=categories, ordered=ordered)
    except ValueError as error:
        raise DamagedDataError(f"a column of categories is damaged: {error}") from error


def _plain(stored: h5py.Dataset | h5py.Group, rows: slice = EVERY) -> np.ndarray:
    if isinstance(stored, h5py.Group):
        return np.asarray(_encoded(stored, stored.name, rows))
    return _plain_array(stored.asstr()[rows] if h5py.check_string_dtype(stored.dtype) else stored[rows])


def _plain_array(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "SO":
        return np.array([_text(value) for value in values], dtype=object)
    return values


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
