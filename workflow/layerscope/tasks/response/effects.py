"""Effects of perturbations in halves of the cells: the difference of two means, of a layer or of genes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.arrays import Bools, Floats, Integers
from layerscope.tasks.screens.design import Design
from layerscope.tasks.screens.sums import membership


def half_effects(sums: Floats, counts: Integers, first: Bools) -> Floats:
    """Mean of each perturbation's cells minus the control's, in both halves of every split.

    ``sums`` and ``counts`` are items x buckets (x columns), item 0 the control; ``first`` are the buckets of
    each split's first half. Shape ``(n_splits, 2, n_perturbations, n_columns)``.
    """
    halves = np.stack([first, ~first], axis=1).astype(np.float64)
    cells = np.einsum("shb,ib->shi", halves, counts)
    means = np.einsum("shb,ibk->shik", halves, sums, optimize=True) / cells[..., None]
    return np.asarray(means[:, :, 1:] - means[:, :, :1])


def effects_of(
    expression: sparse.csr_matrix, design: Design, labelling: int, first: Bools
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Effects on genes in halves of the cells, and what the spread of cells is computed from.

    Effects as of :func:`half_effects`; squared deviations from the mean of each item's cells, items x genes;
    and the number of each item's cells. Item 0 is the control.
    """
    group = design.groups[labelling]
    inside = group >= 0
    own, owner = expression[inside], group[inside]
    member = membership(owner, design.n_groups)
    shape = (len(design.names) + 1, design.n_buckets)
    sums = (member @ own).toarray().reshape(*shape, -1)
    counts = np.bincount(owner, minlength=design.n_groups).reshape(shape)
    cells = counts.sum(axis=1)
    by_item = membership(owner // design.n_buckets, shape[0])
    deviations = (by_item @ own.multiply(own)).toarray() - sums.sum(axis=1) ** 2 / cells[:, None]
    return half_effects(sums, counts, first), np.maximum(deviations, 0.0), cells


def sampling_sd(deviations: Floats, cells: NDArray[np.int64], train: Bools) -> Floats:
    """Standard deviation of cells about the means of their perturbations, of every fold's training cells.

    ``train`` are the perturbations that train in each fold; control cells always do. The sampling standard
    deviation of an effect is this times a constant, since all perturbations have the same number of cells.
    Shape ``(n_folds, n_genes)``.
    """
    used = np.column_stack([np.ones(len(train)), train])
    free = used @ (cells - 1)
    return np.sqrt(used @ deviations / free[:, None])
