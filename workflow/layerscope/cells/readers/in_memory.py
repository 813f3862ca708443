"""Cells that a Python session holds: an AnnData, in memory or backed by its file, read like a file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.cells.gene_table import gene_table
from layerscope.cells.guard import SAMPLE
from layerscope.cells.labels import among
from layerscope.cells.matrix import RowMatrix, SparseRows, StoredRows, sample_rows, stored_rows
from layerscope.cells.readers.columns import Columns
from layerscope.cells.readers.h5ad import root_cell, with_types
from layerscope.cells.readers.source import SourceCells, source_cells, source_labels
from layerscope.cells.settings import CellSettings, Reading
from layerscope.cells.which_matrix import TOTALS, where_counts_are
from layerscope.errors import ConfigError, DataError

if TYPE_CHECKING:
    from anndata import AnnData

NAME = "adata"  # what messages call the cells


def read(adata: AnnData, settings: CellSettings) -> SourceCells:
    """Read the tables of an AnnData, which is not changed, and make its rows of values available.

    Settings are as of a file, and so are the errors.
    """
    name = _matrix_name(adata, settings.matrix or "X")
    tables = _columns(adata, settings), _cell_ids(adata), _features(adata, name)
    cells = source_cells(*tables, _rows(adata, name), name, settings)
    cells.counts_elsewhere = lambda rows: _counts_elsewhere(adata, name, rows)
    return replace(cells, root_cell=root_cell(adata.uns, _cell_ids(adata), NAME))


def read_genes(adata: AnnData, settings: Reading) -> pd.DataFrame:
    """Read the table of genes alone."""
    return gene_table(_features(adata, _matrix_name(adata, settings.matrix or "X")), settings, NAME).var


def read_labels(adata: AnnData, settings: CellSettings) -> SourceCells:
    """Read the cells' labels alone: there may be no values, and no genes are named."""
    cell_ids = _cell_ids(adata)
    labels = source_labels(_columns(adata, settings), cell_ids, settings)
    return replace(labels, root_cell=root_cell(adata.uns, cell_ids, NAME))


def _columns(adata: AnnData, settings: CellSettings) -> Columns:
    names = [str(name) for name in adata.obs]
    return Columns(NAME, names, lambda name: _column(adata, name), not_missing=settings.not_missing)


def _cell_ids(adata: AnnData) -> list[str]:
    return [str(cell) for cell in adata.obs_names]


def _features(adata: AnnData, matrix_name: str) -> pd.DataFrame:
    """The table of a matrix's features, see :func:`layerscope.cells.readers.h5ad.read_features`."""
    features = with_types(adata.raw.var, adata.var) if matrix_name == "raw" else adata.var
    return features.set_axis([str(name) for name in features.index])


def matrix_names(adata: AnnData) -> list[str]:
    """Matrices of values that there are: ``X``, ``raw``, ``layers/NAME``."""
    names = ["X"] if adata.X is not None else []
    names += ["raw"] if adata.raw is not None else []
    return [*names, *(f"layers/{name}" for name in adata.layers)]


def _matrix_name(adata: AnnData, wanted: str) -> str:
    names = matrix_names(adata)
    if wanted not in names:
        raise ConfigError(f"{NAME}: no matrix {wanted!r}; {among(wanted, names)}. Mend `matrix`")
    return wanted


def _column(adata: AnnData, name: str) -> pd.Series:
    """A column of obs as a file would give it: categories, or values of NumPy's types."""
    places = [place for place, column in enumerate(adata.obs) if str(column) == name]
    if len(places) > 1:
        raise DataError(f"{NAME}: obs has {len(places)} columns {name!r}; rename all but one")
    column = pd.Series(adata.obs.iloc[:, places[0]].array, name=name)
    if isinstance(column.dtype, np.dtype | pd.CategoricalDtype):
        return column
    return column.astype(object).where(column.notna(), None).infer_objects()


def _values(adata: AnnData, name: str) -> Any:
    if name == "raw":
        return adata.raw.X
    return adata.X if name == "X" else adata.layers[name.removeprefix("layers/")]


def _rows(adata: AnnData, name: str) -> RowMatrix:
    """Rows of a matrix, which stays where it is: in memory, or in the file behind the AnnData."""
    values = _values(adata, name)
    if isinstance(values, h5py.Dataset):
        return stored_rows(values)
    if isinstance(getattr(values, "group", None), h5py.Group):
        return stored_rows(values.group)
    if sparse.issparse(values):
        return SparseRows(values)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return StoredRows(np.asarray(values))
    raise DataError(
        f"{NAME}: {name} is a {type(values).__name__}; expected a dense or sparse matrix of cells x genes. "
        "Load it into memory first"
    )


def _counts_elsewhere(adata: AnnData, used: str, rows: np.ndarray) -> str:
    """Say where counts probably are, by a sample of the cells, like ``where_counts_are`` of a file."""
    from anndata.io import write_elem

    chosen = rows[sample_rows(len(rows), SAMPLE)]
    with h5py.File(NAME, "w", driver="core", backing_store=False) as file:
        for name in matrix_names(adata):
            blocks = [block for _, block in _rows(adata, name).blocks(chosen)]
            sample = sparse.vstack(blocks, format="csr")
            write_elem(file, "raw/X" if name == "raw" else name, sample)
        totals = {name: _column(adata, name).to_numpy()[chosen] for name in TOTALS if name in adata.obs}
        write_elem(file, "obs", pd.DataFrame(totals, index=pd.Index(chosen.astype(str))))
        name = "raw/X" if used == "raw" else used
        return where_counts_are(file, name, np.arange(len(chosen)))
