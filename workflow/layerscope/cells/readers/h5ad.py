"""Any h5ad file, by the names of its columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.canonical import provenance_in
from layerscope.cells.formats import what_hdf5_is
from layerscope.cells.gene_table import feature_types, gene_table
from layerscope.cells.h5ad_file import column_names, read_column, read_index, readable_table
from layerscope.cells.labels import among
from layerscope.cells.matrix import stored_rows
from layerscope.cells.readers.columns import Columns
from layerscope.cells.readers.source import SourceCells, source_cells, source_labels
from layerscope.cells.settings import CellSettings, Reading
from layerscope.cells.which_matrix import matrices, matrix_key, where_counts_are
from layerscope.cells.zarr_store import open_store
from layerscope.errors import ConfigError, DataError

CONDITION = "condition"  # of prepared cells: the condition that they were prepared for
MEMBERSHIP = "obsm/"
SLICE_RECORD = "layerscope_slice"


def read(path: str | Path, settings: CellSettings) -> SourceCells:
    """Read the tables of an h5ad file, which stays open, and make its rows of values available.

    A column of the settings may also be ``obsm/NAME``, a cells x groups matrix of membership (of clones,
    say): the label is the number of the group.
    """
    return read_open(*open_named(path), settings)


def read_labels(path: str | Path, settings: CellSettings) -> SourceCells:
    """Read the cells' labels alone, for what needs no values; the file may hold none."""
    file, name = open_named(path)
    demand_tables(file, name)
    columns, cell_ids = stored_columns(file, name, settings.not_missing), read_index(file["obs"])
    return replace(source_labels(columns, cell_ids, settings), root_cell=_root_cell(file, cell_ids))


def read_genes(path: str | Path, settings: Reading) -> pd.DataFrame:
    """Read the table of genes alone, as :func:`layerscope.cells.genes.identify` makes it."""
    with closing(open_store(path)) as file:
        name = Path(path).name
        demand_tables(file, name)
        features, _ = read_features(file, _matrix_name(file, settings.matrix, name))
        return gene_table(features, settings, name).var


def open_named(path: str | Path) -> tuple[h5py.File, str]:
    """Open an h5ad file; a slice goes by the name of the file that it was cut from."""
    file = open_store(path)
    return file, read_record(file).get("name", Path(path).name)


def read_record(file: h5py.File) -> dict[str, Any]:
    """What a slice says about the larger file that it was cut from; empty for any other file."""
    if "uns" not in file or SLICE_RECORD not in file["uns"]:
        return {}
    record: dict[str, Any] = json.loads(file["uns"][SLICE_RECORD].asstr()[()])
    return record


def read_open(file: h5py.File, name: str, settings: CellSettings) -> SourceCells:
    """Read an h5ad file that is open, under the name that messages are to give it; see :func:`read`."""
    demand_tables(file, name)
    columns = stored_columns(file, name, settings.not_missing)
    cell_ids = read_index(file["obs"])
    matrix_name = _matrix_name(file, settings.matrix, name)
    features, unreadable = read_features(file, matrix_name)
    matrix = stored_rows(file[matrix_name])
    cells = source_cells(columns, cell_ids, features, matrix, matrix_name, settings)
    return replace(
        cells,
        root_cell=_root_cell(file, cell_ids),
        remarks=[*unreadable, *cells.remarks],
        before=read_record(file).get("before", []),
        counts_elsewhere=lambda rows: where_counts_are(file, matrix_name, rows),
    )


def demand_tables(file: h5py.File, name: str) -> None:
    """Refuse a file without tables of cells and of genes."""
    for part in ("obs", "var"):
        if part not in file:
            what = what_hdf5_is(file) or f"there are {', '.join(file) or 'nothing'}"
            raise DataError(f"{name}: not an h5ad file: it has no {part}; {what}")


def read_features(file: h5py.File, matrix_name: str) -> tuple[pd.DataFrame, list[str]]:
    """A matrix's features (those of ``raw`` with types of ``var``), and why columns of them are left out."""
    features, unreadable = readable_table(genes_of(file, matrix_name))
    if matrix_name.startswith("raw") and "var" in file:
        features = with_types(features, readable_table(file["var"])[0])
    return features, [f"a column of var is left out: {reason}" for reason in unreadable.values()]


def with_types(features: pd.DataFrame, var: pd.DataFrame) -> pd.DataFrame:
    """Features of ``raw`` with the types that ``var`` gives, where their own table has none."""
    types = feature_types(var)
    if types is None or feature_types(features) is not None:
        return features
    known = pd.Series(types, index=var.index)
    return features.assign(feature_types=known[~known.index.duplicated()].reindex(features.index).fillna(""))


def stored_columns(file: h5py.File, name: str, not_missing: Sequence[str] = ()) -> Columns:
    """Columns of an open h5ad file's cells; memberships in ``obsm`` can be named too."""

    condition = str(provenance_in(file).get("condition", ""))

    def read_any(column: str) -> pd.Series:
        if column.startswith(MEMBERSHIP):
            return _membership(file[column], f"{name}: {column}")
        if column == CONDITION and condition:
            return pd.Series(condition, index=read_index(file["obs"]))
        return read_column(file["obs"], column)

    also = [*memberships(file), *([CONDITION] if condition else [])]
    return Columns(name, column_names(file["obs"]), read_any, also, not_missing)


def memberships(file: h5py.File) -> list[str]:
    """Arrays of ``obsm`` as columns are named; none of an old file, whose ``obsm`` is one table."""
    arrays = file.get("obsm", {})
    return [] if isinstance(arrays, h5py.Dataset) else [f"{MEMBERSHIP}{key}" for key in arrays]


def root_cell(uns: Mapping[str, Any], cell_ids: Sequence[str], where: str) -> str | None:
    """Id of the root cell that ``uns`` names, by id (``iroot_cell``) or by position (scanpy's ``iroot``)."""
    if "iroot_cell" in uns:
        named = uns["iroot_cell"]
        if not isinstance(named, str):
            raise DataError(f"{where}: uns['iroot_cell'] must be a cell id, found {named!r}")
        return named
    if "iroot" not in uns:
        return None
    root = np.asarray(uns["iroot"])
    if root.size != 1 or root.dtype.kind not in "iuf" or root.item() != np.rint(root.item()):
        value = root.item() if root.size == 1 else root.tolist()
        raise DataError(f"{where}: uns['iroot'] must be the number of a cell, found {value!r}")
    position = int(root.item())
    if not 0 <= position < len(cell_ids):
        raise DataError(f"{where}: uns['iroot'] is {position}, but there are {len(cell_ids)} cells")
    return cell_ids[position]


def _root_cell(file: h5py.File, cell_ids: Sequence[str]) -> str | None:
    uns = file.get("uns", {})
    named = {name: uns[name][()] for name in ("iroot_cell", "iroot") if name in uns}
    text = {name: value.decode(errors="replace") for name, value in named.items() if isinstance(value, bytes)}
    return root_cell(named | text, cell_ids, Path(file.filename).name)


def _matrix_name(file: h5py.File, matrix: str | None, name: str) -> str:
    available = matrices(file)
    wanted = next((key for key in available if matrix_key(key) == (matrix or "X")), "")
    if not wanted:
        choices = [matrix_key(key) for key in available]
        raise ConfigError(
            f"{name}: no matrix {matrix or 'X'!r}; {among(matrix or 'X', choices)}. Mend `matrix`"
        )
    return wanted


def genes_of(file: h5py.File, matrix_name: str) -> h5py.Group | h5py.Dataset:
    """The table of a matrix's genes."""
    table = file.get({"raw/X": "raw/var", "raw.X": "raw.var"}.get(matrix_name, "var"))
    if table is None:
        raise DataError(f"{Path(file.filename).name}: {matrix_name} has no table of genes")
    return table


def _membership(file: h5py.Group | h5py.Dataset, where: str) -> pd.Series:
    matrix = stored_rows(file)
    labels = np.full(matrix.shape[0], "", dtype=object)
    for rows, block in matrix.blocks(np.arange(matrix.shape[0])):
        block.eliminate_zeros()
        sizes = np.diff(block.indptr)
        if (sizes > 1).any():
            raise DataError(f"{where}: {int((sizes > 1).sum())} cells belong to more than one group")
        labels[rows[sizes == 1]] = [str(column) for column in block.indices]
    return pd.Series(labels)
