"""What baselines share: cells as one sees them, log-normalised values, and the choice of genes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.cells.canonical import provenance

if TYPE_CHECKING:
    from anndata import AnnData

TARGET_SUM = 1e4


@dataclass(frozen=True)
class Representation:
    """Cells as a baseline sees them."""

    matrix: NDArray[np.float32]  # cells x features
    notes: list[str] = field(default_factory=list)  # what was done otherwise than asked, and why


def log_normalised(cells: AnnData) -> sparse.csr_matrix:
    """Log1p of counts per 10,000, float32; values that are log-normalised already are left alone."""
    values = sparse.csr_matrix(cells.X, dtype=np.float32, copy=True)
    if provenance(cells).get("values") == "counts":
        totals = np.asarray(values.sum(axis=1, dtype=np.float64)).ravel()
        scaled = values.data * np.repeat(TARGET_SUM / totals, np.diff(values.indptr))
        values.data = np.log1p(scaled).astype(np.float32)
    return values


def variable_genes(cells: AnnData, n_top_genes: int) -> tuple[NDArray[np.bool_], list[str]]:
    """The most variable genes, by scanpy's ``seurat`` flavour on log-normalised values, and notes."""
    if cells.n_vars <= n_top_genes:
        note = f"all {cells.n_vars} genes, which are no more than the {n_top_genes} asked for"
        return np.ones(cells.n_vars, dtype=bool), [note]
    import anndata
    import scanpy  # seconds to import

    logged = anndata.AnnData(X=log_normalised(cells), var=cells.var[[]])
    scanpy.pp.highly_variable_genes(logged, n_top_genes=n_top_genes, flavor="seurat")
    return logged.var["highly_variable"].to_numpy(), []
