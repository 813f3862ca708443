"""Standardised effects of perturbations on genes, from sums over cells: cheap enough for every split.

Counts: the difference between a perturbation's and the control's rate (counts of the gene over all counts),
over its negative-binomial standard error. Log-normalised values: the difference of means over a pooled
standard error. Both use one dispersion (or variance) per gene, of the cells of the same half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from layerscope.arrays import Floats, Integers
from layerscope.tasks.screens.sums import membership


@dataclass(frozen=True)
class ExpressionSums:
    """What effects need of the cells of each group ``item * n_buckets + bucket``, item 0 the control."""

    values: Floats  # sums of the genes' counts (or values), (n_groups, n_genes)
    squares: Floats  # sums of squared counts over all cells of a bucket, (n_buckets, n_genes)
    weighted: Floats  # the same of counts times the cell's total
    cells: Floats  # number of cells, (n_groups,)
    totals: Floats  # sums of the cells' total counts
    squared_totals: Floats  # sums of their squares
    n_buckets: int


def expression_sums(
    values: sparse.csr_matrix, totals: Floats, group: Integers, n_groups: int, n_buckets: int
) -> ExpressionSums:
    """Sum cells x genes by group (-1: none); ``totals`` are of each cell over ALL genes."""
    inside = np.flatnonzero(group >= 0)
    own, owner, total = values[inside], group[inside], totals[inside]
    member = membership(owner, n_groups)
    bucket = membership(owner % n_buckets, n_buckets)
    squared = own.copy()
    squared.data = squared.data**2
    return ExpressionSums(
        values=(member @ own).toarray(),
        squares=(bucket @ squared).toarray(),
        weighted=(bucket.multiply(total[None, :]).tocsr() @ own).toarray(),
        cells=np.bincount(owner, minlength=n_groups).astype(np.float64),
        totals=np.bincount(owner, weights=total, minlength=n_groups).astype(np.float64),
        squared_totals=np.bincount(owner, weights=total**2, minlength=n_groups).astype(np.float64),
        n_buckets=n_buckets,
    )


def count_effects(sums: ExpressionSums, buckets: Integers) -> Floats:
    """Negative-binomial z-scores of every perturbation against the control, from the cells of some buckets.

    A gene's count ``y`` in a cell of total ``N`` has mean ``N r`` and variance ``N r + phi N^2 r^2``; ``phi``
    comes from the moments of all cells, ``z`` is the difference of two rates over its standard error.
    Perturbations x genes; 0 for genes without counts in these cells.
    """
    parts = (sums.values, sums.totals, sums.squared_totals)
    counts, total, squared = (_over_buckets(part, sums.n_buckets, buckets) for part in parts)
    everything, every_square = total.sum(), squared.sum()
    rate = counts.sum(axis=0) / everything
    spread = sums.squares[buckets].sum(axis=0) - 2 * rate * sums.weighted[buckets].sum(axis=0)
    spread += rate**2 * every_square
    counted = rate > 0
    safe = np.where(counted, rate, 1.0)
    dispersion = np.maximum((spread - rate * everything) / (safe**2 * every_square), 0.0)
    rates = counts / total[:, None]
    variance = rate / total[:, None] + dispersion * rate**2 * (squared / total**2)[:, None]
    error = np.sqrt(variance[1:] + variance[0])
    return np.asarray(np.where(counted, rates[1:] - rates[0], 0.0) / np.where(counted, error, 1.0))


def value_effects(sums: ExpressionSums, buckets: Integers) -> Floats:
    """Differences of means of values over their pooled standard error, 0 for genes that do not vary."""
    values = _over_buckets(sums.values, sums.n_buckets, buckets)
    cells = _over_buckets(sums.cells, sums.n_buckets, buckets)
    means = values / cells[:, None]
    within = sums.squares[buckets].sum(axis=0) - (values * means).sum(axis=0)
    free = cells.sum() - len(cells)
    variance = within / free
    varies = variance > 1e-12 * np.maximum((means**2).max(axis=0), 1e-12)
    error = np.sqrt(np.where(varies, variance, 1.0) * (1 / cells[1:] + 1 / cells[0])[:, None])
    return np.asarray(np.where(varies, means[1:] - means[0], 0.0) / error)


def _over_buckets(sums: Floats, n_buckets: int, buckets: Integers) -> Floats:
    """Sums of items over some buckets: ``(n_items * n_buckets, ...)`` to ``(n_items, ...)``."""
    return np.asarray(sums.reshape(-1, n_buckets, *sums.shape[1:])[:, buckets].sum(axis=1))
