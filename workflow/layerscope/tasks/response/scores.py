"""Scores of one layer: how well effects on genes are decoded from it, with ceiling, null and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layerscope.arrays import Floating, Floats
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.splits import Splits
from layerscope.tables import Score, Subject
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
from layerscope.tasks.scored import Scored, share_as_high
from layerscope.tasks.screens.sums import LayerSums, all_alike

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


@dataclass(frozen=True)
class Screen:
    """What layers are compared with, and how: the reference of a screen and the settings of the task."""

    reference: Reference
    settings: ResponseSettings

    @cached_property
    def folds(self) -> Folds:
        """Targets that are held out together."""
        return folds_of(self.reference.targets, self.settings.folds)

    def scores(
        self, kernels: Floats, effects: Floating, labelling: int = 0, jackknife: bool = False
    ) -> dict[str, Ratio]:
        """Scores by metric, which can be resampled after a ``jackknife``.

        ``kernels`` are products between perturbations' effects in the halves that are decoded from, shape
        ``(n_folds or 1, n, n_perturbations, n_perturbations)``; ``effects`` on genes in the halves that are
        decoded, splits x 2 x perturbations x genes. Labelling 0 has the true labels, others the shuffles.
        """
        folds, of_halves = self.folds, by_half(effects)
        truth = Truth.of(of_halves, self.reference.scale[labelling], self.reference.own_genes, folds)
        penalty = choose_penalties(kernels, truth, folds, self.settings.penalties)
        errors, weights = decode(kernels, truth, folds, penalty)
        nothing = np.zeros(len(folds.units))
        changes = Changes(nothing, nothing, nothing)
        if jackknife:
            changes = changes_without(kernels, truth, folds, penalty)

        def summed(values: Floats) -> Floats:
            return np.bincount(folds.unit, values, len(folds.units)).astype(np.float64)

        effect, size = summed(errors.effect), summed(np.ones(len(folds.unit)))
        correlation = summed(pearson_from_control(weights, of_halves))
        return {
            METRIC: Ratio(summed(errors.missed), effect, changes.missed, changes.effect, explained=True),
            CENTROIDS: Ratio(summed(errors.further), size, changes.further, nothing),
            VARIANCE: Ratio(summed(errors.spread), effect, nothing, nothing),
            PEARSON: Ratio(correlation, size, nothing, nothing),
        }

    def ceiling(self) -> dict[str, Ratio]:
        """Scores of effects on genes in one half that are decoded from those in the other."""
        effects, scale = self.reference.effects, self.reference.scale[0]
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        kernels = np.array([kernel(by_half(effects) * of_fold) for of_fold in inverse])
        scores = self.scores(kernels, effects[:, ::-1], jackknife=True)
        return {metric: scores[metric] for metric in (METRIC, CENTROIDS)}

    def scores_of_layer(self, layer: LayerSums, labelling: int) -> dict[str, Ratio]:
        """Scores by metric under one labelling, from swapped halves of the cells, and from the same cells."""
        effects = self.reference.shuffled[labelling - 1] if labelling else self.reference.effects
        first = self.reference.first[: len(effects)]
        kernels = kernel(by_half(half_effects(*layer.by_bucket(labelling, first.shape[1]), first)))[None]
        scores = self.scores(kernels, effects[:, ::-1], labelling, jackknife=labelling == 0)
        return scores | {SAME_CELLS: self.scores(kernels, effects, labelling)[METRIC]}


def by_half(effects: Floating) -> Floats:
    """Splits x 2 x perturbations x columns as halves x perturbations x columns."""
    return np.asarray(effects.reshape(-1, *effects.shape[2:]), dtype=np.float64)


def score_layer(
    layer: LayerSums,
    vectors: Floating,
    screen: Screen,
    ceiling: dict[str, Ratio],
    subject: Subject,
) -> Scored:
    """Score a layer from sums of its cells in every group of the design."""
    reference, settings, folds = screen.reference, screen.settings, screen.folds
    n_buckets = reference.first.shape[1]
    n_cells = int(layer.counts[0, n_buckets:].sum())

    def row(metric: str, **values: object) -> Score:
        return subject.row(metric, n_cells=n_cells, n_items=len(folds.units), **values)

    reason = why_not(layer, n_buckets)
    if reason:
        return Scored([row(metric, status="undefined", reason=reason) for metric in METRICS])
    scores = screen.scores_of_layer(layer, 0)
    null = [screen.scores_of_layer(layer, 1 + shuffle) for shuffle in range(len(reference.shuffled))]
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
        if metric not in ceiling:
            scored.rows.append(row(metric, **values))
            continue
        resamples = score.resampled(draws)
        low, high = percentile_interval(resamples)
        values |= {"ci_low": low, "ci_high": high, "p_value": share_as_high(shuffled, score.value)}
        made = row(metric, **values, ceiling=ceiling[metric].value)
        scored.add(made, resamples, (score(splits.first), score(splits.second)))
    scored.rows.insert(2, _share(row, scores[METRIC], ceiling[METRIC], draws))
    scored.rows.append(_cell_level(row, vectors, reference, folds))
    return scored


def why_not(layer: LayerSums, n_buckets: int) -> str:
    """Why the layer has no score; empty if it has one."""
    sums, cells = layer.by_bucket(0, n_buckets)
    if (layer.counts == 0).any():
        return "the model refused every cell of a part of a perturbation's cells, or of the control's"
    centroids = sums.sum(axis=1) / cells.sum(axis=1, keepdims=True)
    return "constant layer: the mean cells of all perturbations are the same" if all_alike(centroids) else ""


def _share(row: Row, score: Ratio, ceiling: Ratio, draws: Floats) -> Score:
    """The score over the ceiling, where the ceiling is above zero beyond its interval."""
    of_ceiling = ceiling.resampled(draws)
    low, high = percentile_interval(of_ceiling)
    if not low > 0:
        reason = f"the ceiling is not above 0: {ceiling.value:.3f}, interval {low:.3f} to {high:.3f}"
        return row(SHARE, status="undefined", reason=f"{reason}; a ratio to it has no bounds")
    low, high = percentile_interval(score.resampled(draws) / of_ceiling)
    return row(SHARE, estimate=score.value / ceiling.value, ci_low=low, ci_high=high, ceiling=1.0)


def _cell_level(row: Row, vectors: Floating, reference: Reference, folds: Folds) -> Score:
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
