"""The reference of protocol ``released``: the arithmetic of the paper's public code, oddities included.

What the code does, and what stands in its place in the paper:

- no DESeq2: a profile is the difference of the means of log-normalised values to the control;
- only the 500 genes with the largest ``|t|`` of each profile are kept, and all others set to zero, so that
  two profiles agree on thousands of tied zeros whatever they do;
- the "Spearman correlation" of two profiles is the cosine of their ranks WITHOUT centring. Ranks are all
  positive, so unrelated profiles come near 0.75, and the ties of the zeros bring them near 0.95;
- the reference was built separately from each model's preprocessed data, so that the two models were scored
  against different references. This oddity alone is not reproduced: here all models meet one reference.

Where the code's detail is not known, the plain choice is made: Welch's t, average ranks.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.arrays import Floats, Integers
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.matrix import stored_shape
from layerscope.cells.obs import read_obs, read_provenance
from layerscope.errors import NotAvailableError
from layerscope.statistics.ranks import average_ranks
from layerscope.tasks.perturbation.pseudobulk import select_perturbations
from layerscope.tasks.perturbation.settings import ReleasedSettings
from layerscope.tasks.perturbation.similarity import cosines_of_ranks, write_similarity
from layerscope.tasks.screens.blocks import csr_blocks
from layerscope.tasks.screens.labels import demand_labels, group_cells
from layerscope.tasks.screens.sums import add_by_group

log = logging.getLogger(__name__)

TARGET_SUM = 1e4


def released_reference(cells: str | Path, output: str | Path, settings: ReleasedSettings) -> None:
    """Write the similarities of a condition's log-normalised counts, or of its values as they are."""
    obs = read_obs(cells)
    demand_labels(obs, str(cells))
    n_control = int(obs["is_control"].sum())
    if n_control < 2:
        raise NotAvailableError(f"{cells}: {n_control} control cells; a t statistic needs 2 at least")
    names, remarks = select_perturbations(obs, settings, str(cells))
    for remark in remarks:
        log.info("%s: %s", cells, remark)
    moments = log_moments(cells, group_cells(obs, names), len(names) + 1)
    profiles = truncated_differences(*moments, settings.top_genes)
    # ranks that are not centred: what the released code calls Spearman's correlation
    write_similarity(output, names, cosines_of_ranks(average_ranks(profiles)))


def log_moments(cells: str | Path, item: Integers, n_items: int) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Cells, means and variances (divisor ``n - 1``) of log-normalised values: items, and items x genes."""
    is_counts = read_provenance(cells).get("values") == "counts"
    counts = np.bincount(item[item >= 0], minlength=n_items)
    with open_h5ad(cells) as file:
        sums, squares = np.zeros((2, n_items, stored_shape(file["X"])[1]))
        for rows, block in csr_blocks(file["X"]):
            values = block.astype(np.float64)
            if is_counts:
                totals = np.asarray(values.sum(axis=1)).ravel()
                values.data = np.log1p(TARGET_SUM * values.data / np.repeat(totals, np.diff(values.indptr)))
            add_by_group(sums, item[rows], values)
            add_by_group(squares, item[rows], values.power(2))
    means = sums / counts[:, None]
    variances = np.maximum(squares - counts[:, None] * means**2, 0.0) / np.maximum(counts - 1, 1)[:, None]
    return counts, means, variances


def truncated_differences(
    counts: NDArray[np.int64], means: Floats, variances: Floats, top_genes: int
) -> Floats:
    """Mean differences to item 0, all but the ``top_genes`` of largest ``|t|`` (Welch) set to zero.

    Of ``|t|`` equal to nine decimals the earlier gene stays: a gene of one cell has 1 but for rounding.
    """
    difference = means[1:] - means[0]
    error = np.sqrt(variances[1:] / counts[1:, None] + variances[0] / counts[0])
    t = np.where(error > 0, difference, 0.0) / np.where(error > 0, error, 1.0)
    order = np.argsort(-np.round(np.abs(t), 9), axis=1, kind="stable")[:, :top_genes]
    is_top = np.zeros(difference.shape, dtype=bool)
    np.put_along_axis(is_top, order, True, axis=1)
    return np.where(is_top, difference, 0.0)
