"""Protocol ``strict``: a layer and a reference that share no cell, with ceilings and nulls.

Every split cuts the cells into halves. One half gives the layer's similarity of perturbations (cosine of
centroids minus the control's), the other the reference's (Spearman correlation of effects), and then the
halves are swapped; the score is the mean over splits and swaps. All cells are equal in number, so that no
matrix mirrors how many cells a perturbation has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from layerscope.chance import generator
from layerscope.statistics.ranks import WeightedSpearman, average_ranks, spearman
from layerscope.tables import Score
from layerscope.tasks.perturbation.ceilings import by_split
from layerscope.tasks.perturbation.centroids import why_undefined
from layerscope.tasks.perturbation.design import Design
from layerscope.tasks.perturbation.influence import (
    LEVEL,
    interval,
    linear_resamples,
    ratio_interval,
    spearman_influence,
)
from layerscope.tasks.perturbation.pairs import CHOSEN_ON, SCORED_ON, Pairs, on_halves
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.similarity import cosine_matrix
from layerscope.tasks.perturbation.strict_reference import StrictReference, buckets_of
from layerscope.tasks.perturbation.sums import LayerSums

Array = NDArray[np.float64]
METRIC = "spearman"
SHARE = "share_of_ceiling"
SHUFFLED = "spearman_shuffled_labels"
RELIABILITY = "split_half_reliability"
UNIT_NORM = "spearman_unit_norm"
SAME_CELLS = "spearman_same_cells"
SAME_CELLS_SHUFFLED = "spearman_same_cells_shuffled_labels"
CROSSNOBIS = "spearman_crossnobis"


@dataclass(frozen=True)
class Measured:
    """A statistic, and how it changes with the weight of every perturbation."""

    value: float
    influence: Array


def strict_scores(
    layer: LayerSums,
    unit_norm: LayerSums | None,
    reference: StrictReference,
    design: Design,
    settings: StrictSettings,
    about: dict[str, Any],
    seed: int,
) -> tuple[list[Score], dict[str, Array]]:
    """Score a layer by protocol ``strict``.

    Parameters
    ----------
    layer, unit_norm
        Sums of the layer's cells by group, of the cells as they are and scaled to unit length (None where
        only the former were kept).
    reference, design
        Of the condition.
    settings
        See :class:`~layerscope.tasks.perturbation.settings.StrictSettings`.
    about
        What all rows say alike: condition, model, layer, depth, task, protocol.
    seed
        Of the Mantel permutations and the resamples.

    Returns
    -------
    The rows; the bootstrap values of those metrics that have any, and the score on both halves of the
    perturbations. ``p_value`` of ``spearman`` is the
    Mantel test's; that of ``spearman_shuffled_labels`` is the share of shuffles that score as high.
    """
    about = about | {"n_items": len(design.names), "seed": seed}
    about["n_cells"] = int(layer.counts[0, design.n_buckets :].sum())
    reason = why_not(layer, design)
    metrics = [METRIC, SHARE, SHUFFLED, SAME_CELLS, SAME_CELLS_SHUFFLED, RELIABILITY, UNIT_NORM]
    if reason:
        return [Score(**about, metric=name, status="undefined", reason=reason) for name in metrics], {}
    pairs = Pairs(len(design.names))
    halves = [layer_similarities(layer, 0, reference, design, size) for size in reference.sizes]
    score = agreement(halves[-1], reference.similarity[-1], pairs)
    ceiling = by_split(reference)
    null, leak = null_scores(layer, reference, design, pairs)
    common = {"ceiling": ceiling.value, "null_mean": float(np.mean(null)) if len(null) else math.nan}
    p_value = mantel(halves[-1], reference.similarity[-1], pairs, design.names, settings.permutations, seed)
    rows = [_row(about | common | {"metric": METRIC, "p_value": p_value}, score)]
    measured = {METRIC: score}
    rows.append(_share(about, score, Measured(ceiling.value, ceiling.influence)))
    rows.append(_shuffled(about | {"metric": SHUFFLED}, score.value, null))
    leaking = agreement(halves[-1], reference.similarity[-1], pairs, swapped=False)
    rows.append(_row(about | {"metric": SAME_CELLS}, leaking))
    rows.append(_shuffled(about | {"metric": SAME_CELLS_SHUFFLED}, leaking.value, leak))
    own = np.mean([spearman(pairs.of(one), pairs.of(other)) for one, other in halves[-1]])
    rows.append(Score(**about, metric=RELIABILITY, estimate=float(own)))
    if unit_norm is not None:
        measured[UNIT_NORM] = _scored(unit_norm, reference, design, pairs)
        rows.append(_row(about | common | {"metric": UNIT_NORM}, measured[UNIT_NORM]))
    rows += [
        _of_fewer_cells(about, position, halves[position], reference, design, pairs)
        for position in range(len(reference.sizes) - 1)
    ]
    if settings.crossnobis:
        measured[CROSSNOBIS] = _crossnobis(layer, reference, design, pairs)
        rows.append(_row(about | {"metric": CROSSNOBIS, "ceiling": ceiling.value}, measured[CROSSNOBIS]))
    items, found = design.names, {}
    for name, one in measured.items():
        drawn = (items, items, seed, settings.resamples)
        found[name] = linear_resamples(one.value, one.influence, *drawn)
    chosen, scored = _on_halves(halves[-1], reference, pairs, items, seed, settings.splits)
    found[METRIC + CHOSEN_ON], found[METRIC + SCORED_ON] = chosen, scored
    return rows, found


def why_not(layer: LayerSums, design: Design) -> str:
    """Why the layer has no score; empty if it has one."""
    cells = layer.counts[0].reshape(-1, design.n_buckets)
    if (cells == 0).any():
        lost = int((cells[1:] == 0).any(axis=1).sum())
        return f"the model refused every cell of a bucket, in {lost} perturbations" + (
            " and the control" if (cells[0] == 0).any() else ""
        )
    means = layer.sums[0].reshape(-1, design.n_buckets, layer.sums.shape[2]).sum(axis=1)
    reason = why_undefined(means / cells.sum(axis=1, keepdims=True))
    return reason if "constant" in reason else ""


def layer_similarities(
    layer: LayerSums,
    labelling: int,
    reference: StrictReference,
    design: Design,
    size: int,
    few: int | None = None,
) -> Array:
    """Cosines of control-centred centroids in both halves of each split, shape ``(n_splits, 2, n, n)``."""
    sums = layer.sums[labelling].reshape(-1, design.n_buckets, layer.sums.shape[2])
    counts = layer.counts[labelling].reshape(-1, design.n_buckets)
    found = []
    for first in reference.halves[:few]:
        both = []
        for half in (0, 1):
            kept = buckets_of(first, half, size)
            centroids = sums[:, kept].sum(axis=1) / counts[:, kept].sum(axis=1, keepdims=True)
            both.append(cosine_matrix(centroids[1:] - centroids[0]))
        found.append(both)
    return np.array(found)


def agreement(layer: Array, reference: Array, pairs: Pairs, swapped: bool = True) -> Measured:
    """Mean Spearman correlation of one half's layer with the other half's reference, over splits and swaps.

    Parameters
    ----------
    layer, reference
        Shape ``(n_splits, 2, n, n)``.
    swapped
        If False, layer and reference are of the SAME half: what this protocol is there to avoid.
    """
    found = [
        spearman_influence(pairs.of(layer[split, half]), pairs.of(reference[split, half ^ swapped]), pairs)
        for split in range(len(layer))
        for half in (0, 1)
    ]
    return Measured(float(np.mean([value for value, _ in found])), np.mean([i for _, i in found], axis=0))


def null_scores(
    layer: LayerSums, reference: StrictReference, design: Design, pairs: Pairs
) -> tuple[Array, Array]:
    """The score under each shuffle of the cells' labels, everything re-run.

    Returns
    -------
    From disjoint halves, and from the same cells on both sides; each of shape ``(n_shuffles,)``.
    """
    few, size = reference.shuffled.shape[1], int(reference.sizes[-1])
    found = np.empty((2, len(reference.shuffled)))
    for shuffle, similarity in enumerate(reference.shuffled):
        own = layer_similarities(layer, 1 + shuffle, reference, design, size, few)
        found[:, shuffle] = [agreement(own, similarity, pairs, swapped).value for swapped in (True, False)]
    return found[0], found[1]


def mantel(
    layer: Array, reference: Array, pairs: Pairs, names: Sequence[str], n_permutations: int, seed: int
) -> float:
    """Mantel's test: how often a reference of permuted perturbations scores as high, the true included."""
    left, right = (
        np.array([[_scores_of_ranks(half, pairs) for half in split] for split in matrices])
        for matrices in (layer, reference)
    )
    left, right = left.reshape(-1, *left.shape[2:]), right[:, ::-1].reshape(-1, *right.shape[2:])
    observed = np.vdot(left, right)
    random = generator(seed, names, "mantel")
    canonical = np.argsort(np.asarray(names, dtype=np.str_), kind="stable")
    high = 1
    for _ in range(n_permutations):
        order = np.empty(len(names), dtype=np.int64)
        order[canonical] = canonical[random.permutation(len(names))]
        high += bool(np.vdot(left, right[:, order[:, None], order]) >= observed)
    return high / (n_permutations + 1)


def _scores_of_ranks(matrix: Array, pairs: Pairs) -> Array:
    """A matrix of its pairs' ranks, centred and of unit length, symmetric, with a diagonal of zeros."""
    ranks = average_ranks(pairs.of(matrix))
    ranks = ranks - ranks.mean()
    found = np.zeros_like(matrix)
    found[pairs.first, pairs.second] = ranks / np.sqrt(ranks @ ranks)
    return found + found.T


def _scored(layer: LayerSums, reference: StrictReference, design: Design, pairs: Pairs) -> Measured:
    size = int(reference.sizes[-1])
    return agreement(layer_similarities(layer, 0, reference, design, size), reference.similarity[-1], pairs)


def _on_halves(
    layer: Array, reference: StrictReference, pairs: Pairs, items: Sequence[str], seed: int, n_splits: int
) -> tuple[Array, Array]:
    """The score within random halves of the perturbations, on the first and on the second of each split."""
    other = reference.similarity[-1]
    statistics = [
        WeightedSpearman(pairs.of(layer[split, half]), pairs.of(other[split, 1 - half]))
        for split in range(len(layer))
        for half in (0, 1)
    ]
    return on_halves(statistics, items, items, seed, n_splits)


def _row(about: dict[str, Any], measured: Measured) -> Score:
    low, high = interval(measured.value, measured.influence)
    return Score(**about, estimate=measured.value, ci_low=low, ci_high=high)


def _share(about: dict[str, Any], score: Measured, ceiling: Measured) -> Score:
    """The score over the ceiling, where the ceiling is above zero beyond its interval."""
    bounds = ratio_interval((score.value, ceiling.value), (score.influence, ceiling.influence))
    if bounds is None:
        low, high = interval(ceiling.value, ceiling.influence)
        reason = (
            f"the ceiling is not above 0: {ceiling.value:.3f}, interval {low:.3f} to {high:.3f}; "
            "a ratio to it has no bounds"
        )
        return Score(**about, metric=SHARE, status="undefined", reason=reason)
    value, (low, high) = score.value / ceiling.value, bounds
    within = "within" if low <= 1 <= high else "outside"
    reason = f"above 1: score and ceiling are both estimates; 1 is {within} the interval" if value > 1 else ""
    return Score(**about, metric=SHARE, estimate=value, ci_low=low, ci_high=high, ceiling=1.0, reason=reason)


def _shuffled(about: dict[str, Any], score: float, null: Array) -> Score:
    """The mean score under shuffled labels, its interval, and how often a shuffle reaches the score."""
    if len(null) < 2:
        reason = f"{len(null)} shuffles of the labels were made; set shuffles to 2 or more"
        return Score(**about, status="not_available", reason=reason)
    error = null.std(ddof=1) / math.sqrt(len(null)) * float(stdtrit(len(null) - 1, (1 + LEVEL) / 2))
    mean = float(null.mean())
    return Score(
        **about,
        estimate=mean,
        ci_low=mean - error,
        ci_high=mean + error,
        null_mean=mean,
        p_value=float((1 + (null >= score).sum()) / (1 + len(null))),
        reason=f"mean of {len(null)} shuffles of labels within lanes, everything re-run",
    )


def _of_fewer_cells(
    about: dict[str, Any],
    position: int,
    halves: Array,
    reference: StrictReference,
    design: Design,
    pairs: Pairs,
) -> Score:
    """Score and ceiling with fewer cells of every perturbation in each half."""
    cells = int(reference.sizes[position]) * design.cells_per_perturbation // design.n_buckets
    measured = agreement(halves, reference.similarity[position], pairs)
    ceiling = by_split(reference, position).value
    return _row(about | {"metric": f"{METRIC}_n{cells}", "ceiling": ceiling}, measured)


def _crossnobis(layer: LayerSums, reference: StrictReference, design: Design, pairs: Pairs) -> Measured:
    """Crossnobis distances between perturbations, cross-validated over the buckets of a half (rsatoolbox)."""
    from layerscope.tasks.perturbation.crossnobis import crossnobis_similarities

    size = int(reference.sizes[-1])
    found = crossnobis_similarities(layer, reference, design, size)
    return agreement(found, reference.similarity[-1], pairs)
