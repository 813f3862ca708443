"""Scores of predictions (or of silhouettes) as functions of how often each unit is counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floats, Ints
from layerscope.tasks.refits import Measure

BLOCK_VALUES = 1_000_000
Measures = tuple[Measure, list[Measure], list[Measure]]
"""A score as it is, under every shuffle of the labels, and after every refit."""


@dataclass(frozen=True)
class Labellings:
    """Several labellings of the same cells, the true one first."""

    types: Ints
    """Types of the cells, shape ``(n_labellings, n_cells)``."""
    weights: Floats
    """How often each cell counts, of the same shape."""
    n_types: int


def macro_f1(types: Ints, predicted: Ints, unit: Ints, n_units: int, n_types: int) -> Measure:
    """F1 of each type, 2 x right / (cells of the type + cells predicted to be), averaged over the types.

    Predictions of all folds are put together first. In a resample the average is over the types that it has;
    NaN if it has no cell.
    """
    right = by_unit(types, unit, n_units, n_types, (types == predicted).astype(np.float64))
    of_type = by_unit(types, unit, n_units, n_types)
    predicted_as = by_unit(predicted, unit, n_units, n_types)

    def measure(counts: npt.ArrayLike) -> Floats:
        weights = np.asarray(counts, dtype=np.float64)
        cells, guesses, hits = weights @ of_type, weights @ predicted_as, weights @ right
        present = cells > 0
        f1 = np.where(present, 2 * hits / np.where(present, cells + guesses, 1), 0.0)
        n_present = present.sum(axis=-1)
        mean: Floats = np.where(n_present > 0, f1.sum(axis=-1) / np.maximum(n_present, 1), np.nan)
        return mean

    return measure


def accuracy(types: Ints, predicted: Ints, unit: Ints, n_units: int) -> Measure:
    """Share of the cells whose type was predicted."""
    return mean_of((types == predicted).astype(np.float64), unit, n_units)


def balanced_accuracy(types: Ints, predicted: Ints, unit: Ints, n_units: int, n_types: int) -> Measure:
    """Share of each label's items that were predicted, averaged over labels; NaN where one has no item."""
    right = by_unit(types, unit, n_units, n_types, (types == predicted).astype(np.float64))
    of_type = by_unit(types, unit, n_units, n_types)

    def measure(counts: npt.ArrayLike) -> Floats:
        weights = np.asarray(counts, dtype=np.float64)
        items, hits = weights @ of_type, weights @ right
        present = items > 0
        n_present = present.sum(axis=-1)
        recall = np.where(present, hits / np.where(present, items, 1), 0.0).sum(axis=-1)
        mean: Floats = np.where(n_present == n_types, recall / n_types, np.nan)
        return mean

    return measure


def auc_within(scores: Floats, positive: Bools, group: Ints, unit: Ints, n_units: int) -> Measure:
    """Share of the pairs of a positive and another cell of a group in which it scores higher.

    Equal scores count one half. The share is averaged over the groups that have both; where units are whole
    groups, each counts as often as its unit. NaN if no group has both.
    """
    order = np.lexsort((scores, group))
    scores, positive, group, unit = scores[order], positive[order], group[order], unit[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    tied = np.r_[True, (scores[1:] != scores[:-1]) | (group[1:] != group[:-1])]
    block = np.cumsum(tied) - 1
    ends = np.r_[np.flatnonzero(tied), len(scores)]
    first_of_group = np.repeat(starts, np.diff(np.r_[starts, len(scores)]))

    def of_groups(weights: Floats) -> Floats:
        wins, others = weights * positive, weights * ~positive
        below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum(others, axis=1)], axis=1)
        lower, upper = below[:, ends[block]], below[:, ends[block + 1]]
        hits = wins * ((lower + upper) / 2 - below[:, first_of_group])
        n_pairs = np.add.reduceat(wins, starts, axis=1) * np.add.reduceat(others, starts, axis=1)
        shares = np.add.reduceat(hits, starts, axis=1) / np.where(n_pairs > 0, n_pairs, 1)
        return np.where(n_pairs > 0, shares, np.nan)

    if len(starts) > 1 and len(set(zip(group, unit, strict=True))) == len(starts):
        shares = of_groups(np.ones((1, len(scores))))[0]
        defined = np.isfinite(shares)
        return mean_of(shares[defined], unit[starts][defined], n_units)

    def measure(counts: npt.ArrayLike) -> Floats:
        counts = np.asarray(counts, dtype=np.float64)
        rows = np.atleast_2d(counts)
        step = max(1, BLOCK_VALUES // len(scores))
        means = np.empty(len(rows))
        for start in range(0, len(rows), step):
            shares = of_groups(rows[start : start + step, unit])
            n_groups = np.isfinite(shares).sum(axis=1)
            total = np.nansum(shares, axis=1)
            means[start : start + step] = np.where(n_groups > 0, total / np.maximum(n_groups, 1), np.nan)
        return means.reshape(counts.shape[:-1])

    return measure


def mean_of(values: Floats, unit: Ints, n_units: int) -> Measure:
    """Mean of a value over the cells; NaN if a resample has none."""
    sums = np.bincount(unit, values, n_units)
    sizes = np.bincount(unit, minlength=n_units).astype(np.float64)

    def measure(counts: npt.ArrayLike) -> Floats:
        weights = np.asarray(counts, dtype=np.float64)
        cells = weights @ sizes
        mean: Floats = np.where(cells > 0, (weights @ sums) / np.where(cells > 0, cells, 1), np.nan)
        return mean

    return measure


def by_unit(types: Ints, unit: Ints, n_units: int, n_types: int, weight: Floats | None = None) -> Floats:
    """Cells (or their weights) of each unit and type, shape ``(n_units, n_types)``."""
    counts = np.bincount(unit * n_types + types, weight, n_units * n_types)
    return counts.reshape(n_units, n_types).astype(np.float64)
