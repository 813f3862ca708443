"""Protocol ``strict``: a layer and a reference that share no cell, with ceilings and nulls.

Every split cuts the cells into halves. One half gives the layer's similarity of perturbations (cosine of
centroids minus the control's), the other the reference's (Spearman correlation of effects), and then the
halves are swapped; the score is the mean over splits and swaps. All perturbations have the same number of
cells, so that no matrix mirrors how many cells a perturbation has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import stdtrit

from layerscope.arrays import Bools, Floats
from layerscope.chance import generator
from layerscope.statistics.intervals import UPPER_QUANTILE
from layerscope.statistics.ranks import WeightedSpearman, average_ranks, spearman
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score, Subject
from layerscope.tasks.perturbation.ceilings import by_split
from layerscope.tasks.perturbation.influence import (
    Estimate,
    RankedPairs,
    interval,
    linear_resamples,
    ratio_interval,
    spearman_influence,
)
from layerscope.tasks.perturbation.pairs import Draws, Pairs, on_halves
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.similarity import cosine_matrix, why_undefined
from layerscope.tasks.perturbation.strict_reference import StrictReference, buckets_of
from layerscope.tasks.scored import Scored, share_as_high
from layerscope.tasks.screens.design import Design
from layerscope.tasks.screens.sums import LayerSums

Row = Callable[..., Score]
METRIC = "spearman"
SHARE = "share_of_ceiling"
SHUFFLED = "spearman_shuffled_labels"
RELIABILITY = "split_half_reliability"
UNIT_NORM = "spearman_unit_norm"
SAME_CELLS = "spearman_same_cells"
SAME_CELLS_SHUFFLED = "spearman_same_cells_shuffled_labels"
METRICS = (METRIC, SHARE, SHUFFLED, SAME_CELLS, SAME_CELLS_SHUFFLED, RELIABILITY, UNIT_NORM)


def strict_scores(
    layer: LayerSums,
    unit_norm: LayerSums | None,
    reference: StrictReference,
    design: Design,
    subject: Subject,
    settings: StrictSettings,
) -> Scored:
    """Score a layer by protocol ``strict``.

    ``layer`` and ``unit_norm`` are sums of its cells as they are and scaled to unit length (None leaves out
    ``spearman_unit_norm``). ``p_value`` of ``spearman`` is the Mantel test's, that of
    ``spearman_shuffled_labels`` the share of shuffles that score as high.
    """
    names, n_cells = design.names, int(layer.counts[0, design.n_buckets :].sum())

    def row(metric: str, **values: object) -> Score:
        return subject.row(metric, n_cells=n_cells, n_items=len(names), **values)

    reason = why_not(layer, design)
    if reason:
        return Scored([row(metric, status="undefined", reason=reason) for metric in METRICS])
    target, pairs = reference.similarity[-1], Pairs(len(names))
    similarities = [layer_similarities(layer, 0, reference, size) for size in reference.sizes]
    halves = similarities[-1]
    score, ceiling = agreement(halves, target, pairs), by_split(reference)
    null, null_same_cells = null_scores(layer, reference, pairs)
    common = {"ceiling": ceiling.value, "null_mean": float(np.mean(null)) if len(null) else math.nan}
    p_value = mantel(halves, target, pairs, names, settings.permutations, subject.seed)
    same_cells = agreement(halves, target, pairs, swapped=False)
    reliability = np.mean([spearman(pairs.of(first), pairs.of(second)) for first, second in halves])
    rows = [
        _row(row, METRIC, score, p_value=p_value, **common),
        _share(row, score, ceiling),
        _shuffled(row, SHUFFLED, score.value, null),
        _row(row, SAME_CELLS, same_cells),
        _shuffled(row, SAME_CELLS_SHUFFLED, same_cells.value, null_same_cells),
        row(RELIABILITY, estimate=float(reliability)),
    ]
    estimates = {METRIC: score}
    if unit_norm is not None:
        of_unit_norm = layer_similarities(unit_norm, 0, reference, reference.sizes[-1])
        estimates[UNIT_NORM] = agreement(of_unit_norm, target, pairs)
        rows.append(_row(row, UNIT_NORM, estimates[UNIT_NORM], **common))
    for position, size in enumerate(reference.sizes[:-1]):
        # score and ceiling with fewer cells of every perturbation in each half
        metric = f"{METRIC}_n{size * design.cells_per_perturbation // design.n_buckets}"
        fewer = agreement(similarities[position], reference.similarity[position], pairs)
        rows.append(_row(row, metric, fewer, ceiling=by_split(reference, position).value))
    draws = Draws(names, names, subject.seed, settings.resamples, settings.splits)
    resamples = {metric: linear_resamples(estimate, draws) for metric, estimate in estimates.items()}
    statistics = [
        WeightedSpearman(pairs.of(halves[split, half]), pairs.of(target[split, 1 - half]))
        for split, half in np.ndindex(halves.shape[:2])
    ]
    resamples[METRIC + CHOSEN_ON], resamples[METRIC + SCORED_ON] = on_halves(statistics, draws)
    return Scored(rows, resamples)


def why_not(layer: LayerSums, design: Design) -> str:
    """Why the layer has no score; empty if it has one."""
    sums, cells = layer.by_bucket(0, design.n_buckets)
    if (cells == 0).any():
        n_lost = int((cells[1:] == 0).any(axis=1).sum())
        control = " and the control" if (cells[0] == 0).any() else ""
        return f"the model refused every cell of a bucket, in {n_lost} perturbations{control}"
    reason = why_undefined(sums.sum(axis=1) / cells.sum(axis=1, keepdims=True))
    return reason if "constant" in reason else ""


def layer_similarities(
    layer: LayerSums, labelling: int, reference: StrictReference, size: int, n_splits: int | None = None
) -> Floats:
    """Cosines of control-centred centroids, from ``size`` buckets of both halves: splits x 2 x n x n."""
    sums, counts = layer.by_bucket(labelling, reference.halves.shape[1])

    def similarity(first: Bools, half: int) -> Floats:
        buckets = buckets_of(first, half, size)
        centroids = sums[:, buckets].sum(axis=1) / counts[:, buckets].sum(axis=1, keepdims=True)
        return cosine_matrix(centroids[1:] - centroids[0])

    splits = reference.halves[:n_splits]
    return np.array([[similarity(first, half) for half in (0, 1)] for first in splits])


def agreement(layer: Floats, reference: Floats, pairs: Pairs, swapped: bool = True) -> Estimate:
    """Mean Spearman correlation of one half's layer with the other half's reference, over splits and swaps.

    Both are splits x 2 x n x n. If not ``swapped`` they are of the SAME half: what this protocol avoids.
    """
    estimates = []
    for split, half in np.ndindex(layer.shape[:2]):
        of_layer = RankedPairs(pairs.of(layer[split, half]))
        of_reference = RankedPairs(pairs.of(reference[split, half ^ swapped]))
        estimates.append(spearman_influence(of_layer, of_reference, pairs.n_items))
    return Estimate.mean(estimates)


def null_scores(layer: LayerSums, reference: StrictReference, pairs: Pairs) -> tuple[Floats, Floats]:
    """The score under each shuffle of labels, from disjoint halves and from the same cells on both sides."""
    n_splits, size = reference.shuffled.shape[1], int(reference.sizes[-1])
    scores = np.empty((2, len(reference.shuffled)))
    for shuffle, target in enumerate(reference.shuffled):
        similarities = layer_similarities(layer, 1 + shuffle, reference, size, n_splits)
        both = (agreement(similarities, target, pairs, swapped) for swapped in (True, False))
        scores[:, shuffle] = [estimate.value for estimate in both]
    return scores[0], scores[1]


def mantel(
    layer: Floats, reference: Floats, pairs: Pairs, names: Sequence[str], n_permutations: int, seed: int
) -> float:
    """Mantel's test: how often a reference of permuted perturbations scores as high, the true included."""

    def ranked(matrix: Floats) -> Floats:
        """The pairs' ranks, centred and of unit length, as a symmetric matrix with a diagonal of zeros."""
        ranks = average_ranks(pairs.of(matrix))
        ranks -= ranks.mean()
        square = np.zeros_like(matrix)
        square[pairs.first, pairs.second] = ranks / np.sqrt(ranks @ ranks)
        return square + square.T

    left = np.array([ranked(half) for split in layer for half in split])
    right = np.array([ranked(half) for split in reference for half in split[::-1]])
    observed = np.vdot(left, right)
    random = generator(seed, names, "mantel")
    canonical = np.argsort(np.asarray(names, dtype=np.str_), kind="stable")
    n_high = 1
    for _ in range(n_permutations):
        order = np.empty(len(names), dtype=np.int64)
        order[canonical] = canonical[random.permutation(len(names))]
        n_high += bool(np.vdot(left, right[:, order[:, None], order]) >= observed)
    return n_high / (n_permutations + 1)


def _row(row: Row, metric: str, estimate: Estimate, **values: object) -> Score:
    low, high = interval(estimate)
    return row(metric, estimate=estimate.value, ci_low=low, ci_high=high, **values)


def _share(row: Row, score: Estimate, ceiling: Estimate) -> Score:
    """The score over the ceiling, where the ceiling is above zero beyond its interval."""
    bounds = ratio_interval(score, ceiling)
    if bounds is None:
        low, high = interval(ceiling)
        stated = f"{ceiling.value:.3f}, interval {low:.3f} to {high:.3f}"
        reason = f"the ceiling is not above 0: {stated}; a ratio to it has no bounds"
        return row(SHARE, status="undefined", reason=reason)
    share, (low, high) = score.value / ceiling.value, bounds
    within = "within" if low <= 1 <= high else "outside"
    reason = f"above 1: score and ceiling are both estimates; 1 is {within} the interval" if share > 1 else ""
    return row(SHARE, estimate=share, ci_low=low, ci_high=high, ceiling=1.0, reason=reason)


def _shuffled(row: Row, metric: str, score: float, null: Floats) -> Score:
    """The mean score under shuffled labels, its interval, and how often a shuffle reaches the score."""
    if len(null) < 2:
        reason = f"{len(null)} shuffles of the labels were made; set shuffles to 2 or more"
        return row(metric, status="not_available", reason=reason)
    error = null.std(ddof=1) / math.sqrt(len(null)) * float(stdtrit(len(null) - 1, UPPER_QUANTILE))
    mean = float(null.mean())
    numbers = {"estimate": mean, "ci_low": mean - error, "ci_high": mean + error, "null_mean": mean}
    reason = f"mean of {len(null)} shuffles of labels within lanes, everything re-run"
    return row(metric, **numbers, p_value=share_as_high(null, score), reason=reason)
