"""The canonical cells: one file per condition, the same whatever the source.

``X`` holds raw counts in CSR form (or natural log-normalised values, where the dataset can give nothing
else), ``obs`` the standard columns that the source has, ``var`` the gene identifiers,
``uns["iroot_cell"]`` the root that the data name, and ``uns["layerscope"]`` the provenance as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.cells import ROOT_CELL
from layerscope.cells.genes import GENE_COLUMNS
from layerscope.cells.h5ad_file import open_h5ad, read_table
from layerscope.cells.matrix import append_rows
from layerscope.cells.settings import FLAG_COLUMNS, STANDARD_COLUMNS, TEXT_COLUMNS, TRUTH_PREFIX
from layerscope.errors import DataError

if TYPE_CHECKING:
    from anndata import AnnData

VALUES = ("counts", "log_normalised")
PROVENANCE = "layerscope"


def read_cells(path: str | Path) -> AnnData:
    """Read a file of canonical cells whole (``X`` in CSR form, float32); a DataError if it is none."""
    import anndata

    read_about(path)
    return anndata.read_h5ad(path)


def read_var(path: str | Path) -> pd.DataFrame:
    """Read the genes' table alone: ``symbol`` and/or ``ensembl_id``, indexed by gene name."""
    return read_part(path, "var")


def read_part(path: str | Path, name: str) -> pd.DataFrame:
    """Read the table ``obs`` or ``var`` alone."""
    read_about(path)
    with open_h5ad(path) as file:
        return read_table(file[name])


def read_about(path: str | Path) -> dict[str, Any]:
    """Read ``provenance`` and ``root_cell``, the id of the root that the data name, of canonical cells."""
    with open_h5ad(path) as file:
        about = provenance_in(file)
        if "X" not in file or not about:
            raise DataError(
                f"{path}: these are not canonical cells (no uns[{PROVENANCE!r}]); "
                "make them from this file with scripts/prepare_cells.py"
            )
        root_cell = file["uns"][ROOT_CELL].asstr()[()] if ROOT_CELL in file["uns"] else None
        return {"provenance": about, "root_cell": root_cell}


def provenance_in(file: h5py.File) -> dict[str, Any]:
    """The record that preparing cells left in an open file; empty without one, DataError if it is none."""
    text = file["uns"].get(PROVENANCE) if "uns" in file else None
    if not isinstance(text, h5py.Dataset):
        return {}
    try:
        record = json.loads(text.asstr()[()])
    except (TypeError, ValueError):
        record = None
    if not isinstance(record, dict):
        raise DataError(
            f"{file.filename}: uns[{PROVENANCE!r}] is not the record that layerscope writes; delete it"
        )
    return record


def provenance(cells: AnnData) -> dict[str, Any]:
    """Provenance of cells read with :func:`read_cells`; refuses cells that carry none."""
    if PROVENANCE not in cells.uns:
        raise DataError(f"these cells have no uns[{PROVENANCE!r}]: read them with read_cells")
    about: dict[str, Any] = json.loads(str(cells.uns[PROVENANCE]))
    return about


class CellsWriter:
    """Write canonical cells block by block, in memory bounded by the block.

    The same cells and provenance, which holds at least ``values``, give the same bytes. Names that repeat and
    a ``time`` without order are refused; values are guarded where they are read.
    """

    def __init__(self, path: str | Path, var: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
        values = provenance.get("values")
        if values not in VALUES:
            raise DataError(f"{path}: values must be {' or '.join(VALUES)}, found {values!r}")
        _demand_unique(path, "gene names", var.index)
        self._path = path
        self._var = genes_table(var)
        self._provenance = json.dumps(provenance, sort_keys=True, ensure_ascii=False)
        self._file = h5py.File(path, "w")
        self._file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        self._n_cells = 0

    def __enter__(self) -> CellsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: sparse.csr_matrix) -> None:
        """Append the rows of a block, shape ``(n_rows, n_genes)``; explicit zeros are dropped."""
        block = sparse.csr_matrix(block, dtype=np.float32, copy=True)
        if block.shape[1] != len(self._var):
            raise DataError(f"{self._path}: a block has {block.shape[1]} genes, the table {len(self._var)}")
        block.sum_duplicates()
        block.eliminate_zeros()
        append_rows(self._file, "X", block)
        self._n_cells += block.shape[0]

    def finish(self, obs: pd.DataFrame, root_cell: str | None = None) -> None:
        """Write the tables and the provenance."""
        from anndata.io import write_elem

        if len(obs) != self._n_cells:
            raise DataError(f"{self._path}: the table has {len(obs)} cells, the matrix {self._n_cells}")
        uns = {PROVENANCE: self._provenance}
        if root_cell is not None:
            if root_cell not in obs.index:
                raise DataError(f"{self._path}: the root cell {root_cell!r} is not among the cells")
            uns[ROOT_CELL] = root_cell
        write_elem(self._file, "obs", standard_table(obs, self._path))
        write_elem(self._file, "var", self._var)
        write_elem(self._file, "uns", uns)
        for empty in ("layers", "obsm", "obsp", "varm", "varp"):
            write_elem(self._file, empty, {})


def standard_table(obs: pd.DataFrame, path: str | Path = "cells") -> pd.DataFrame:
    """A cells' table with the standard columns first and of their types; other columns are labels."""
    _demand_unique(path, "cell ids", obs.index)
    others = [name for name in obs.columns if name not in STANDARD_COLUMNS]
    names = [*(name for name in STANDARD_COLUMNS if name in obs.columns), *others]
    columns = {name: _standard_column(name, obs[name], path) for name in names}
    return pd.DataFrame(columns, index=pd.Index(obs.index.astype(str), dtype=object))


def genes_table(var: pd.DataFrame) -> pd.DataFrame:
    """Keep the columns ``symbol`` and ``ensembl_id`` of a genes' table, as text ("" where missing)."""
    columns = {name: as_text(var[name]) for name in GENE_COLUMNS if name in var.columns}
    return pd.DataFrame(columns, index=pd.Index(var.index.astype(str), dtype=object))


def _standard_column(name: str, column: pd.Series, path: str | Path) -> Any:
    if name == "time":
        if not isinstance(column.dtype, pd.CategoricalDtype) or not column.cat.ordered:
            raise DataError(f"{path}: the column time must be an ordered categorical")
        used = column.cat.remove_unused_categories()
        return pd.Categorical(
            used.astype(str), categories=[str(label) for label in used.cat.categories], ordered=True
        )
    if name in FLAG_COLUMNS:
        if column.dtype != bool:
            raise DataError(f"{path}: the column {name} must be boolean, found {column.dtype}")
        return column.to_numpy()
    if name == "reference_pseudotime":
        return column.to_numpy(dtype=np.float64)
    if name in TEXT_COLUMNS or not name.startswith(TRUTH_PREFIX):
        return pd.Categorical(as_text(column))
    return as_text(column) if column.dtype.kind not in "biuf" else column.to_numpy()


def as_text(column: pd.Series) -> np.ndarray:
    """A column as text, empty where missing."""
    plain = column.astype(object)
    return np.where(plain.isna(), "", plain.astype(str)).astype(object)


def _demand_unique(path: str | Path, what: str, index: pd.Index) -> None:
    if not index.is_unique:
        repeated = index[index.duplicated()].unique()
        few = ", ".join(map(str, repeated[:3]))
        raise DataError(f"{path}: {what} must be unique; {len(repeated)} repeat, such as {few}")
