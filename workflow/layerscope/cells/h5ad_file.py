"""Tables of an h5ad file, read by anndata column by column, in every version of the format.

Works on any file object that h5py opens, remote ones included. anndata is imported when something is read, so
that jobs which read nothing with it start fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias, overload

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.formats import what_it_is
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
    """Open an h5ad file for reading; a DataError says what anything else is, or that it is truncated."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: no cells: it is {what_it_is(path)}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if what := what_it_is(path):
            raise DataError(f"{path}: not a readable HDF5 file: it is {what}") from error
        reason = str(error).rpartition("(")[2].rstrip(")") or str(error)
        raise DataError(
            f"{path}: not a readable HDF5 file ({path.stat().st_size} bytes; {reason}). "
            "It may be truncated, or compressed (gunzip it first)"
        ) from error


def why_unreadable(path: str | Path, error: OSError) -> DataError:
    """What to say of a file that HDF5 cannot read: the filter that is not known here, or damage."""
    name = Path(path).name
    if Path(path).is_file() and h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            if unknown := unknown_filter(file):
                return DataError(f"{name}: {unknown}")
    return DataError(f"{name}: damaged HDF5 file ({error}); fetch or copy it again")


@contextmanager
def damage_named(*paths: str | Path) -> Iterator[None]:
    """Say of the file that HDF5 cannot read, one of these, why not."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        reasons = [why_unreadable(path, error) for path in paths]
        raise next((reason for reason in reasons if "filter" in str(reason)), reasons[0]) from error


def unknown_filter(part: Table) -> str:
    """What compressed a dataset, or one inside a group, if it is not known here; "" if all can be read."""
    if isinstance(part, h5py.Group):
        return str(part.visititems(lambda _, inside: unknown_filter(inside) or None) or "")
    layout = part.id.get_create_plist()
    for number in range(layout.get_nfilters()):
        code, _, _, title = layout.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            named = f"filter {code} ({_text(title).strip(chr(0)) or 'unnamed'})"
            return (
                f"{part.name.lstrip('/')} is compressed with {named}, which this HDF5 lacks. The file "
                'is sound: write it again with compression="gzip" where it can be read'
            )
    return ""


def column_names(table: Table) -> list[str]:
    """Names of the columns of a table (``obs`` or ``var``) in their order, without its index."""
    if isinstance(table, h5py.Dataset):
        fields = list(table.dtype.names or ())
        return fields[1:] if fields and fields[0] in ("index", "_index") else fields
    order = [_text(name) for name in table.attrs.get("column-order", []) if _text(name) in table]
    return order or [name for name in table if name not in (_index_name(table), "__categories")]


def read_index(table: Table, rows: slice = EVERY) -> list[str]:
    """Read the index of a table, or some rows of it; a DataError if the table has none."""
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

    A DataError if anndata does not know the column's encoding, or the column is damaged.
    """
    try:
        column = pd.Series(_values(table, name), name=name)
    except LayerscopeError:
        raise
    except OSError as error:
        if isinstance(table, h5py.Group) and (unknown := unknown_filter(table[name])):
            raise DataError(f"{Path(table.file.filename).name}: {unknown}") from error
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DamagedDataError(f"{where(table)}/{name}: this column cannot be read: {reason}") from error
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


def readable_table(table: Table) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a table without the columns that cannot be read, and say of these why not."""
    columns, reasons = {}, {}
    for name in column_names(table):
        try:
            columns[name] = read_column(table, name).to_numpy()
        except (OSError, DataError) as error:
            reasons[name] = str(error)
    return pd.DataFrame(columns, index=pd.Index(read_index(table), dtype=object)), reasons


def _values(table: Table, name: str) -> Any:
    column = table[name]
    if isinstance(column, h5py.Group):
        from anndata.io import read_elem

        values = read_elem(column)
        if isinstance(values, dict):
            raise ValueError("a group without an encoding")
        return values
    codes = column[()]
    labels = _labels_of(table, name)
    if labels is not None:
        ordered = bool(labels.attrs.get("ordered", False))
        return pd.Categorical.from_codes(codes, _plain(labels[()]), ordered=ordered)
    lost = "categories" in getattr(column, "attrs", {})
    if lost or (isinstance(table, h5py.Dataset) and codes.dtype == np.int8 and (codes == -1).any()):
        raise DamagedDataError(
            f"{where(table)}/{name}: codes without labels: the file does not hold the names of the categories"
        )
    return _plain(codes)


def _labels_of(table: Table, name: str) -> h5py.Dataset | None:
    """The labels of a column of codes, where writers before anndata 0.8 put them."""
    if isinstance(table, h5py.Dataset):  # anndata 0.6
        labels = table.file.get(f"uns/{name}_categories")
        are_codes = table.dtype[name].kind in "iu" and isinstance(labels, h5py.Dataset)
        return labels if are_codes else None
    labels = table.get(f"__categories/{name}")  # SeuratDisk gives no more than this, anndata 0.7 a reference
    reference = table[name].attrs.get("categories")
    if labels is None and isinstance(reference, h5py.Reference) and reference:
        with suppress(KeyError, ValueError, OSError):  # what it pointed to is gone: codes without labels
            return table[reference]
    return labels


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
