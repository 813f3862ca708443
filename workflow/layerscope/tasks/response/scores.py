"""Scores of one layer: how well effects on genes are decoded from it, with ceiling, null and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.splits import Splits
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score, Subject
from layerscope.tasks.jobs import Scored
from layerscope.tasks.response.cell_level import cell_level_pearson
from layerscope.tasks.response.decoding import (
    Changes,
    Truth,
    changes_without,
    choose_penalties,
    decode,
    kernel,
    pearson_from_control,
)
from layerscope.tasks.response.effects import half_effects
from layerscope.tasks.response.jackknife import Ratio, target_draws
from layerscope.tasks.response.reference import Reference
from layerscope.tasks.response.settings import ResponseSettings
from layerscope.tasks.response.targets import Folds, folds_of
from layerscope.tasks.screens.sums import LayerSums

Array = NDArray[np.float64]
Row = Callable[..., Score]
METRIC, CENTROIDS = "decoding_r2", "centroid_accuracy"
SHARE, VARIANCE = "share_of_ceiling", "variance_ratio"
PEARSON, SAME_CELLS = "pearson_delta_from_control", "decoding_r2_same_cells"
CELL_LEVEL = "cell_level_pearson"
METRICS = (METRIC, CENTROIDS, SHARE, VARIANCE, PEARSON, SAME_CELLS, CELL_LEVEL)
REMARKS = {
    PEARSON: "not centred on the mean effect: one control mean, common to all effects, looks like knowledge",
    SAME_CELLS: "layer and expression of the same cells: a cell is decoded from itself",
    CELL_LEVEL: "as others report it, of single cells decoded from themselves; no measure of effects",
}
ROUNDING_ERROR = 1e-6
"""Spread of mean cells, relative to their length, that rounding in float32 explains."""


@dataclass(frozen=True)
class Halves:
    """Halves of the cells that are decoded from, and the effects on genes in those that are decoded."""

    kernels: Array  # (n_folds or 1, n, n_perturbations, n_perturbations)
    effects: Array  # (n, n_perturbations, n_genes)
    truth: Truth

    @classmethod
    def of(
        cls, kernels: Array, effects: NDArray[np.floating], scale: Array, reference: Reference, folds: Folds
    ) -> Halves:
        """From kernels of effects, and effects on genes, splits x 2 x perturbations x genes."""
        of_halves = by_half(effects).astype(np.float64)
        return cls(kernels, of_halves, Truth.of(of_halves, scale, reference.own_genes, folds))

    def scores(self, folds: Folds, settings: ResponseSettings, jackknife: bool = True) -> dict[str, Ratio]:
        """Scores by metric; without the jackknife they cannot be resampled."""
        penalty = choose_penalties(self.kernels, self.truth, folds, settings.penalties)
        errors, weights = decode(self.kernels, self.truth, folds, penalty)
        nothing = np.zeros(len(folds.units))
        changes = Changes(nothing, nothing, nothing)
        if jackknife:
            changes = changes_without(self.kernels, self.truth, folds, penalty)

        def summed(values: Array) -> Array:
            return np.bincount(folds.unit, values, len(folds.units))

        effect, size = summed(errors.effect), summed(np.ones(len(folds.unit)))
        correlation = summed(pearson_from_control(weights, self.effects))
        return {
            METRIC: Ratio(summed(errors.missed), effect, changes.missed, changes.effect, explained=True),
            CENTROIDS: Ratio(summed(errors.further), size, changes.further, nothing),
            VARIANCE: Ratio(summed(errors.spread), effect, nothing, nothing),
            PEARSON: Ratio(correlation, size, nothing, nothing),
        }


def ceiling_of(reference: Reference, folds: Folds, settings: ResponseSettings) -> dict[str, Ratio]:
    """Scores of effects on genes in one half that are decoded from those in the other, by the same ridge."""
    effects, scale = reference.effects.astype(np.float64), reference.scale[0]
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    kernels = np.array([kernel(by_half(effects) * of_fold) for of_fold in inverse])
    scores = Halves.of(kernels, effects[:, ::-1], scale, reference, folds).scores(folds, settings)
    return {metric: scores[metric] for metric in (METRIC, CENTROIDS)}


def by_half(effects: NDArray[np.floating]) -> NDArray[np.floating]:
    """Splits x 2 x perturbations x columns as halves x perturbations x columns."""
    return effects.reshape(-1, *effects.shape[2:])


def score_layer(
    layer: LayerSums,
    vectors: NDArray[np.floating],
    reference: Reference,
    ceiling: dict[str, Ratio],
    settings: ResponseSettings,
    subject: Subject,
) -> Scored:
    """Score a layer from sums of its cells in every group of the design.

    ``vectors`` are its single cells of ``reference.cells``, for the number that is reported of these.
    """
    n_buckets = reference.first.shape[1]
    n_cells = int(layer.counts[0, n_buckets:].sum())
    folds = folds_of(reference.targets, settings.folds)

    def row(metric: str, **values: object) -> Score:
        return subject.row(metric, n_cells=n_cells, n_items=len(folds.units), **values)

    reason = why_not(layer, n_buckets)
    if reason:
        return Scored([row(metric, status="undefined", reason=reason) for metric in METRICS])
    scores = scores_of(layer, 0, reference.effects, reference, folds, settings)
    null = [
        scores_of(layer, 1 + shuffle, effects, reference, folds, settings)
        for shuffle, effects in enumerate(reference.shuffled)
    ]
    draws = target_draws(folds.units, subject.seed, settings.resamples)
    splits = Splits.of(folds.units, subject.seed, settings.splits, len(folds.units))
    scored = Scored()
    for metric, score in scores.items():
        shuffled = np.array([of_shuffle[metric].value for of_shuffle in null])
        values = {
            "estimate": score.value,
            "null_mean": float(shuffled.mean()) if null else math.nan,
            "reason": REMARKS.get(metric, ""),
        }
        if metric in ceiling:
            resamples = score.resampled(draws)
            low, high = percentile_interval(resamples)
            p_value = float((1 + (shuffled >= score.value).sum()) / (1 + len(null))) if null else math.nan
            values |= {"ci_low": low, "ci_high": high, "p_value": p_value}
            values["ceiling"] = ceiling[metric].value
            scored.resamples[metric] = resamples
            scored.resamples[metric + CHOSEN_ON] = score(splits.first)
            scored.resamples[metric + SCORED_ON] = score(splits.second)
        scored.rows.append(row(metric, **values))
    scored.rows.insert(2, _share(row, scores[METRIC], ceiling[METRIC], draws))
    scored.rows.append(_cell_level(row, vectors, reference, folds))
    return scored


def scores_of(
    layer: LayerSums,
    labelling: int,
    effects: NDArray[np.floating],
    reference: Reference,
    folds: Folds,
    settings: ResponseSettings,
) -> dict[str, Ratio]:
    """Scores by metric under one labelling, from swapped halves of the cells, and from the same cells."""
    first, scale = reference.first[: len(effects)], reference.scale[labelling]
    kernels = kernel(by_half(half_effects(*layer.by_bucket(labelling, first.shape[1]), first)))[None]
    swapped = Halves.of(kernels, effects[:, ::-1], scale, reference, folds)
    scores = swapped.scores(folds, settings, jackknife=labelling == 0)
    same = Halves.of(kernels, effects, scale, reference, folds).scores(folds, settings, jackknife=False)
    return scores | {SAME_CELLS: same[METRIC]}


def why_not(layer: LayerSums, n_buckets: int) -> str:
    """Why the layer has no score; empty if it has one."""
    sums, cells = layer.by_bucket(0, n_buckets)
    if (layer.counts == 0).any():
        return "the model refused every cell of a part of a perturbation's cells, or of the control's"
    centroids = sums.sum(axis=1) / cells.sum(axis=1, keepdims=True)
    spread = np.linalg.norm(centroids - centroids.mean(axis=0), axis=1).max()
    if spread <= ROUNDING_ERROR * np.linalg.norm(centroids, axis=1).mean():
        return "constant layer: the mean cells of all perturbations are the same"
    return ""


def _share(row: Row, score: Ratio, ceiling: Ratio, draws: NDArray[np.int32]) -> Score:
    """The score over the ceiling, where the ceiling is above zero beyond its interval."""
    of_ceiling = ceiling.resampled(draws)
    low, high = percentile_interval(of_ceiling)
    if not low > 0:
        reason = f"the ceiling is not above 0: {ceiling.value:.3f}, interval {low:.3f} to {high:.3f}"
        return row(SHARE, status="undefined", reason=f"{reason}; a ratio to it has no bounds")
    low, high = percentile_interval(score.resampled(draws) / of_ceiling)
    return row(SHARE, estimate=score.value / ceiling.value, ci_low=low, ci_high=high, ceiling=1.0)


def _cell_level(row: Row, vectors: NDArray[np.floating], reference: Reference, folds: Folds) -> Score:
    """The number that others report, and the same with the cells' labels shuffled within lanes."""
    cells = reference.cells
    finite = np.isfinite(vectors).all(axis=1)
    own, expression = vectors[finite].astype(np.float64), cells.expression[finite].astype(np.float64)
    estimate, twin = (
        cell_level_pearson(own, expression, item[finite], folds) for item in (cells.item, cells.shuffled)
    )
    if math.isnan(estimate):
        return row(CELL_LEVEL, status="undefined", reason="nothing varies among the single cells")
    return row(CELL_LEVEL, estimate=estimate, null_mean=twin, reason=REMARKS[CELL_LEVEL])
