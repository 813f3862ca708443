"""The reference of protocol ``strict``: similarities of effects in every half of the cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from layerscope.arrays import Bools, Floats, Integers
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.obs import read_provenance
from layerscope.errors import NotAvailableError
from layerscope.tables import arrays_of, write_arrays
from layerscope.tasks.perturbation.effects import (
    ExpressionSums,
    count_effects,
    expression_sums,
    value_effects,
)
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.similarity import spearman_matrix
from layerscope.tasks.screens.blocks import csr_blocks
from layerscope.tasks.screens.design import Design, halves

Effects = Callable[[ExpressionSums, NDArray[np.int64]], Floats]


@dataclass(frozen=True)
class Expression:
    """Expression of the cells (cells x genes), their totals over ALL genes, and how effects are computed."""

    values: sparse.csr_matrix
    totals: Floats
    effects: Effects

    def sums(self, group: Integers, n_items: int, n_buckets: int) -> ExpressionSums:
        """Sum the cells by group."""
        return expression_sums(self.values, self.totals, group, n_items * n_buckets, n_buckets)


@dataclass(frozen=True)
class StrictReference:
    """Similarities of the perturbations' effects in halves of the cells."""

    names: list[str]
    halves: Bools  # buckets of the first half of each split, (n_splits, n_buckets)
    sizes: NDArray[np.int64]  # numbers of buckets taken of each half, the last being all of it
    similarity: Floats  # (n_sizes, n_splits, 2, n, n)
    shuffled: Floats  # whole halves of the first few splits, (n_shuffles, n_few, 2, n, n)


def read_expression(cells: str | Path, design: Design, min_counts: int) -> Expression:
    """Read the genes with ``min_counts`` counts (values: above 0) in a design's cells, two at least."""
    is_counts = read_provenance(cells).get("values") == "counts"
    with open_h5ad(cells) as file:
        blocks = [block for _, block in csr_blocks(file["X"])]
    values = sparse.vstack(blocks, format="csr", dtype=np.float64)
    per_gene = np.asarray(values[(design.groups >= 0).any(axis=0)].sum(axis=0)).ravel()
    expressed = per_gene >= max(min_counts, 1) if is_counts else per_gene > 0
    if expressed.sum() < 2:
        raise NotAvailableError(
            f"{cells}: no gene has {min_counts} counts in the cells used; lower min_counts_per_gene"
        )
    return Expression(
        values=values[:, np.flatnonzero(expressed)],
        totals=np.asarray(values.sum(axis=1)).ravel(),
        effects=count_effects if is_counts else value_effects,
    )


def make_reference(
    expression: Expression, design: Design, settings: StrictSettings, seed: int
) -> StrictReference:
    """Similarities of effects for every labelling, split, half and size; see :class:`StrictReference`."""
    first = halves(design.n_buckets, settings.cell_splits, seed)
    few = first[: settings.shuffle_splits]
    sizes = half_sizes(design.n_buckets)
    n = len(design.names)
    true = expression.sums(design.groups[0], n + 1, design.n_buckets)
    shuffled = np.empty((len(design.groups) - 1, len(few), 2, n, n))
    for matrices, group in zip(shuffled, design.groups[1:], strict=True):
        sums = expression.sums(group, n + 1, design.n_buckets)
        matrices[:] = similarities(expression.effects, sums, few, sizes[-1])
    of_sizes = np.array([similarities(expression.effects, true, first, size) for size in sizes])
    return StrictReference(design.names, first, sizes, of_sizes, shuffled)


def similarities(effects: Effects, sums: ExpressionSums, first: Bools, size: int) -> Floats:
    """Spearman correlations of effects in both halves of each split, shape ``(n_splits, 2, n, n)``."""
    return np.array(
        [[spearman_matrix(effects(sums, buckets_of(row, half, size))) for half in (0, 1)] for row in first]
    )


def half_sizes(n_buckets: int) -> NDArray[np.int64]:
    """Numbers of buckets to take of a half: 1, 2, 4 ... and all of it."""
    half = n_buckets // 2
    smaller = [2**power for power in range(half.bit_length()) if 2**power < half]
    return np.array([*smaller, half])


def buckets_of(first: Bools, half: int, size: int) -> NDArray[np.int64]:
    """``size`` buckets of one half of a split, drawn anew in every split and half; all of them in order."""
    members = np.flatnonzero(first if half == 0 else ~first)
    # seeded by the split itself, so that reference and layers take the same; smaller sets lie in larger ones
    drawn = np.random.default_rng([half, *np.flatnonzero(first)]).permutation(members)[:size]
    return np.sort(drawn)


def write_reference(path: str | Path, reference: StrictReference) -> None:
    """Write a reference, always the same bytes for the same content."""
    write_arrays(path, **vars(reference))


def read_reference(path: str | Path) -> StrictReference:
    """Read what :func:`write_reference` wrote; a DataError if the file is not such a reference."""
    with arrays_of(path, "a reference of protocol strict") as arrays:
        matrices = {name: arrays[name] for name in ("halves", "sizes", "similarity", "shuffled")}
        return StrictReference(names=arrays["names"].tolist(), **matrices)
