"""Tables of an h5ad file, read by anndata column by column, in every version of the format.

Works on any file object that h5py opens, remote ones included. anndata is imported when something is read, so
that jobs which read nothing with it start fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, overload

import h5py
import numpy as np
import pandas as pd

from layerscope.errors import DataError, LayerscopeError

EVERY = slice(None)
NAMES_AT_ONCE = 4096
Table: TypeAlias = h5py.Group | h5py.Dataset


class DamagedDataError(DataError):
    """Part of a file cannot be what it says it is: it was cut off, or its bytes were changed."""


class DamagedRowsError(DamagedDataError):
    """Some rows of a matrix (``rows``, counted from 0) cannot be what was written."""

    def __init__(self, message: str, rows: np.ndarray) -> None:
        super().__init__(message)
        self.rows = rows


def row_names(rows: np.ndarray) -> str:
    """Ascending numbers of rows for a message: runs as their ends, the first ten runs."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    names = [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:10]]
    more = f" and {sum(len(run) for run in runs[10:]):,} more" if len(runs) > 10 else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(names)}{more} (counted from 0)"


def open_h5ad(path: str | Path) -> h5py.File:
    """Open an h5ad file for reading.

    Raises
    ------
    DataError
        If there is no such file, or it is not HDF5 (truncated, say).
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: no cells: it is a folder")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = str(error).rpartition("(")[2].rstrip(")") or str(error)
        raise DataError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; {reason}). "
            "It may be truncated, or compressed (gunzip it first)"
        ) from error


def column_names(table: Table) -> list[str]:
    """Names of the columns of a table (``obs`` or ``var``) in their order, without its index."""
    if isinstance(table, h5py.Dataset):
        fields = list(table.dtype.names or ())
        return fields[1:] if fields and fields[0] in ("index", "_index") else fields
    order = [_text(name) for name in table.attrs.get("column-order", []) if _text(name) in table]
    return order or [name for name in table if name not in (_index_name(table), "__categories")]


def read_index(table: Table, rows: slice = EVERY) -> list[str]:
    """Read the index of a table, or some rows of it: cell ids of ``obs``, gene names of ``var``.

    Raises
    ------
    DataError
        If the table has none.
    """
    if isinstance(table, h5py.Dataset):
        if not table.dtype.names:
            raise DamagedDataError(f"{where(table)}: expected a table, found an array of {table.dtype}")
        return [_text(name) for name in table.fields(table.dtype.names[0])[rows]]
    index = _index(table)
    if isinstance(index, h5py.Group):  # categories, or text with missing values
        return [str(name) for name in read_column(table, _index_name(table))[rows]]
    return [_text(name) for name in index[rows]]


class RowNames(Sequence[str]):
    """The index of a table, read when it is asked for: no more than a few thousand names at a time."""

    def __init__(self, table: Table, rows: range | None = None) -> None:
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


def read_column(table: Table, name: str) -> pd.Series:
    """Read one column of a table; categories stay categories, missing values of other types become None.

    Raises
    ------
    DataError
        If anndata does not know the column's encoding, or the column is damaged.
    """
    try:
        values = _values(table, name)
    except (OSError, LayerscopeError):
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DamagedDataError(f"{where(table)}/{name}: this column cannot be read: {reason}") from error
    column = pd.Series(values, name=name)
    if len(column) != (n_rows := _n_rows(table)):
        raise DamagedDataError(
            f"{where(table)}: column {name!r} has {len(column)} rows, the table {n_rows}: it is damaged"
        )
    if isinstance(column.dtype, np.dtype | pd.CategoricalDtype):
        return column
    return column.astype(object).where(column.notna(), None).infer_objects()


def read_table(table: Table, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a table, or only the named columns of it (which must exist)."""
    names = column_names(table) if columns is None else list(columns)
    index = pd.Index(read_index(table), dtype=object)
    return pd.DataFrame({name: read_column(table, name).set_axis(index) for name in names}, index=index)


def _values(table: Table, name: str) -> Any:
    stored = table[name]
    if isinstance(stored, h5py.Group):
        from anndata.io import read_elem

        values = read_elem(stored)
        if isinstance(values, dict):
            raise ValueError("a group without an encoding")
        return values
    reference = getattr(stored, "attrs", {}).get("categories")  # anndata 0.7
    if reference is None:
        return _plain(stored[()])
    categories = table[reference]
    ordered = bool(categories.attrs.get("ordered", False))
    return pd.Categorical.from_codes(stored[()], _plain(categories[()]), ordered=ordered)


def _plain(values: np.ndarray) -> np.ndarray:
    is_text = values.dtype.kind in "SO"
    return np.array([_text(value) for value in values], dtype=object) if is_text else values


def _index_name(table: h5py.Group) -> str:
    name = _text(table.attrs.get("_index", "_index"))
    return name if name in table else "index"


def _index(table: h5py.Group) -> Table:
    if _index_name(table) not in table:
        raise DamagedDataError(f"{where(table)}: this table has no index (the names of its rows)")
    return table[_index_name(table)]


def _n_rows(table: Table) -> int:
    stored = table if isinstance(table, h5py.Dataset) else _index(table)
    if isinstance(stored, h5py.Group):
        stored = stored["codes" if "codes" in stored else "values"]
    return len(stored)


def where(part: Table) -> str:
    """A part of an HDF5 file by the names of both, for messages."""
    return f"{Path(part.file.filename).name}: {part.name.lstrip('/')}"


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
