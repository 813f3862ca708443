"""Files of a few cells: as a user has them, and canonical."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.cells import ROOT_CELL
from layerscope.cells.canonical import CellsWriter, read_cells
from layerscope.cells.prepare import prepare
from layerscope.files import whole


def adata_of(
    matrix: np.ndarray,
    genes: Sequence[str] | None = None,
    cell_ids: Sequence[str] | None = None,
    obs: Mapping[str, Any] | pd.DataFrame | None = None,
    **var: Sequence[str],
) -> anndata.AnnData:
    """Cells ``cell0`` ... of genes ``GENE0`` ..., unless they have names of their own; ``X`` is CSR."""
    names = [f"cell{i}" for i in range(len(matrix))] if cell_ids is None else list(cell_ids)
    genes = [f"GENE{i}" for i in range(matrix.shape[1])] if genes is None else list(genes)
    return anndata.AnnData(
        sparse.csr_matrix(np.asarray(matrix, dtype=np.float32)),
        obs=pd.DataFrame({} if obs is None else obs, index=names),
        var=pd.DataFrame(var, index=genes),
    )


def write_h5ad(path: Path, matrix: np.ndarray, *names: Sequence[str], **more: Any) -> Path:
    """An h5ad file of the cells that :func:`adata_of` makes."""
    adata_of(matrix, *names, **more).write_h5ad(path)
    return path


def write_cells(path: Path, cells: anndata.AnnData, provenance: Mapping[str, Any]) -> None:
    """Canonical cells, whole or not at all."""
    with whole(path) as scratch, CellsWriter(scratch, cells.var, provenance) as writer:
        writer.append(sparse.csr_matrix(cells.X))
        writer.finish(cells.obs, cells.uns.get(ROOT_CELL))


def write_canonical(path: Path, cells: anndata.AnnData, **about: str) -> Path:
    """Canonical cells; symbols of genes are their names where there are none."""
    if "symbol" not in cells.var:
        cells.var["symbol"] = cells.var_names
    known = {"condition": "blood", "dataset": "mine", "task": "", "values": "counts"}
    write_cells(path, cells, known | about)
    return path


def prepared(inputs: Path | list[Path], folder: Path, **settings: Any) -> anndata.AnnData:
    """The cells of files, as they are prepared into a folder."""
    several = inputs if isinstance(inputs, list) else [inputs]
    outputs = {"output": "cells.h5ad", "summary": "summary.tsv", "obs": "obs.parquet"}
    prepare(several, settings, "toy", **{name: folder / file for name, file in outputs.items()})
    return read_cells(folder / "cells.h5ad")
