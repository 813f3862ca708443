"""Log expression of the cells of a screen, for the genes that vary most."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from layerscope.arrays import Bools, Floats, Ints
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.obs import read_provenance
from layerscope.errors import NotAvailableError
from layerscope.tasks.screens.blocks import csr_blocks

TARGET_SUM = 1e4


def read_log_expression(cells: str | Path, control: Bools, n_genes: int) -> tuple[sparse.csr_matrix, Ints]:
    """Log expression, cells x genes, of the genes that vary most among control cells, and which those are.

    Counts are scaled to 10,000 a cell over ALL genes; log-normalised values are taken as they are. No label
    is used but the control's, which is in every training set. NotAvailableError if fewer than two genes vary.
    """
    values = read_provenance(cells).get("values")
    blocks = []
    with open_h5ad(cells) as file:
        for _, block in csr_blocks(file["X"]):
            block = block.astype(np.float64)
            if values == "counts":
                totals = np.asarray(block.sum(axis=1)).ravel()
                block.data *= TARGET_SUM / np.repeat(totals, np.diff(block.indptr))
            if values != "log_normalised":
                block.data = np.log1p(block.data)
            blocks.append(block.astype(np.float32))
    expression = sparse.vstack(blocks, format="csr")
    variance = _variance(expression[control])
    chosen = np.sort(np.argsort(-variance, kind="stable")[:n_genes])
    chosen = chosen[variance[chosen] > 0]
    if len(chosen) < 2:
        raise NotAvailableError(f"{cells}: {len(chosen)} genes vary among control cells; 2 are needed")
    return expression[:, chosen].astype(np.float64), chosen


def _variance(values: sparse.csr_matrix) -> Floats:
    mean = np.asarray(values.mean(axis=0, dtype=np.float64)).ravel()
    squares = np.asarray(values.multiply(values).mean(axis=0, dtype=np.float64)).ravel()
    variance = squares - mean**2
    # what rounding leaves of a constant column is no variance
    return np.where(variance > 1e-6 * squares, variance, 0.0)
