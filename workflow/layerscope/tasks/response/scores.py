"""Scores of one layer: how well effects on genes are decoded from it, with ceiling, null and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.statistics.splits import Splits
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score, Subject
from layerscope.tasks.jobs import Scored
from layerscope.tasks.response.cell_level import cell_level_pearson
from layerscope.tasks.response.decoding import (
    Errors,
    Truth,
    choose_penalties,
    errors_of,
    kernel,
    pearson_from_control,
    predictions,
)
from layerscope.tasks.response.effects import half_effects
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
UPPER_QUANTILE = (1 + LEVEL) / 2


@dataclass(frozen=True)
class Ratio:
    """A score that is ``offset + sign * sum(above) / sum(below)`` over targets, resampled by target."""

    above: Array  # of every target
    below: Array
    offset: float = 0.0
    sign: float = 1.0

    def __call__(self, counts: NDArray[np.integer] | Array) -> Array:
        """The score where every target counts so often, ``(..., n_targets)`` to ``(...)``."""
        above, below = counts @ self.above, counts @ self.below
        share = np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0)
        return np.asarray(self.offset + self.sign * share)

    @property
    def value(self) -> float:
        """The score of all targets."""
        return float(self(np.ones(len(self.above))))


@dataclass(frozen=True)
class Decoded:
    """A score as it is and after every refit of the decoder to resampled training targets."""

    score: Ratio
    refits: list[Ratio]

    def resampled(self, counts: NDArray[np.integer]) -> Array:
        """Values in resamples of the targets that are tested, and of those that train.

        Every resample of the tests takes the predictions of one of the refits, in turn. A resample of the
        training targets holds fewer different ones than there are: what refits lose on average is given back.
        Values are spread as Student's t is wider than the normal distribution.
        """
        n_units = counts.shape[1]
        everyone = np.ones(n_units)
        scores = self.refits or [self.score]
        values = np.empty(len(counts))
        for turn, refit in enumerate(scores):
            values[turn :: len(scores)] = refit(counts[turn :: len(scores)])
        centre = np.mean([refit(everyone) for refit in scores])
        wider = (
            math.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, UPPER_QUANTILE) / ndtri(UPPER_QUANTILE)
        )
        return np.asarray(np.minimum(self.score.value + wider * (values - centre), 1.0))


def of_targets(errors: Errors, folds: Folds) -> dict[str, Ratio]:
    """Scores by metric, from what was missed of each perturbation."""

    def summed(values: Array) -> Array:
        return np.bincount(folds.unit, values, len(folds.units))

    missed, effect, spread = (summed(values) for values in (errors.missed, errors.effect, errors.spread))
    return {
        METRIC: Ratio(missed, effect, offset=1.0, sign=-1.0),
        CENTROIDS: mean_of(errors.further, folds),
        VARIANCE: Ratio(spread, effect),
    }


def mean_of(values: Array, folds: Folds) -> Ratio:
    """The mean over perturbations."""
    n_units = len(folds.units)
    return Ratio(np.bincount(folds.unit, values, n_units), np.bincount(folds.unit, minlength=n_units) * 1.0)


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
        effects = np.asarray(effects, dtype=np.float64).reshape(-1, *effects.shape[2:])
        return cls(kernels, effects, Truth.of(effects, scale, reference.own_genes, folds))

    def decode(
        self, folds: Folds, settings: ResponseSettings, drawn: NDArray[np.integer]
    ) -> dict[str, Decoded]:
        """Scores by metric, with refits to training targets that are drawn so often, a row each."""
        penalty = choose_penalties(self.kernels, self.truth, folds, settings.penalties)
        weights, means = predictions(self.kernels, folds, penalty)
        scores = of_targets(errors_of(weights, means, self.truth, folds), folds)
        scores[PEARSON] = mean_of(pearson_from_control(weights, self.effects), folds)
        refits: list[dict[str, Ratio]] = []
        for counts in drawn:
            weights, means = predictions(self.kernels, folds, penalty, counts[folds.unit])
            refits.append(of_targets(errors_of(weights, means, self.truth, folds), folds))
        return {
            metric: Decoded(score, [refit[metric] for refit in refits if metric in refit])
            for metric, score in scores.items()
        }


def target_draws(folds: Folds, seed: int, n_resamples: int) -> NDArray[np.int32]:
    """How often each target is drawn in each bootstrap resample, ``(n_resamples, n_targets)``."""
    blocks = bootstrap_counts(seed, folds.units, n_resamples)
    return np.concatenate([np.empty((0, len(folds.units)), dtype=np.int32), *blocks])


def ceiling_of(
    reference: Reference, folds: Folds, settings: ResponseSettings, seed: int
) -> dict[str, Decoded]:
    """Scores of the genes' own effects: those in one half decoded from those in the other, by the same ridge."""
    effects, scale = reference.effects.astype(np.float64), reference.scale[0]
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    kernels = np.array([kernel(by_half(effects) * of_fold) for of_fold in inverse])
    halves = Halves.of(kernels, effects[:, ::-1], scale, reference, folds)
    decoded = halves.decode(folds, settings, target_draws(folds, seed, settings.refits))
    return {metric: decoded[metric] for metric in (METRIC, CENTROIDS)}


def by_half(effects: NDArray[np.floating]) -> NDArray[np.floating]:
    """Splits x 2 x perturbations x columns as halves x perturbations x columns."""
    return effects.reshape(-1, *effects.shape[2:])


def score_layer(
    layer: LayerSums,
    vectors: NDArray[np.floating],
    reference: Reference,
    ceiling: dict[str, Decoded],
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
    draws = target_draws(folds, subject.seed, settings.resamples)
    kernels = layer_kernels(layer, 0, reference.first)
    halves = Halves.of(kernels, reference.effects[:, ::-1], reference.scale[0], reference, folds)
    decoded = halves.decode(folds, settings, draws[: settings.refits])
    same = Halves.of(kernels, reference.effects, reference.scale[0], reference, folds)
    decoded[SAME_CELLS] = same.decode(folds, settings, draws[:0])[METRIC]
    null = null_scores(layer, reference, folds, settings)
    values = {metric: score.resampled(draws) for metric, score in decoded.items()}
    splits = Splits.of(folds.units, subject.seed, settings.splits, len(folds.units))
    scored = Scored()
    for metric in (METRIC, CENTROIDS, VARIANCE, PEARSON, SAME_CELLS):
        score = decoded[metric].score
        low, high = percentile_interval(values[metric])
        of_shuffles = null[metric]
        scored.rows.append(
            row(
                metric,
                estimate=score.value,
                ci_low=low,
                ci_high=high,
                ceiling=ceiling[metric].score.value if metric in ceiling else math.nan,
                null_mean=float(np.mean(of_shuffles)) if len(of_shuffles) else math.nan,
                p_value=p_value(score.value, of_shuffles) if metric in (METRIC, CENTROIDS) else math.nan,
                reason=REMARKS.get(metric, ""),
            )
        )
    for metric in (METRIC, CENTROIDS):
        scored.resamples[metric] = values[metric]
        scored.resamples[metric + CHOSEN_ON] = decoded[metric].score(splits.first)
        scored.resamples[metric + SCORED_ON] = decoded[metric].score(splits.second)
    scored.rows.insert(2, _share(row, decoded[METRIC], ceiling[METRIC], draws))
    scored.rows.append(_cell_level(row, vectors, reference, folds))
    return scored


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


def layer_kernels(layer: LayerSums, labelling: int, first: NDArray[np.bool_]) -> Array:
    """Products between perturbations' effects in the layer, ``(1, n, n_perturbations, n_perturbations)``."""
    return kernel(by_half(half_effects(*layer.by_bucket(labelling, first.shape[1]), first)))[None]


def null_scores(
    layer: LayerSums, reference: Reference, folds: Folds, settings: ResponseSettings
) -> dict[str, list[float]]:
    """Scores by metric under each shuffle of the cells' labels, everything re-run."""
    scores: dict[str, list[float]] = {metric: [] for metric in METRICS}
    none = np.empty((0, len(folds.units)), dtype=np.int32)
    for shuffle, effects in enumerate(reference.shuffled):
        kernels = layer_kernels(layer, 1 + shuffle, reference.first[: len(effects)])
        scale = reference.scale[1 + shuffle]
        halves = Halves.of(kernels, effects[:, ::-1], scale, reference, folds)
        decoded = halves.decode(folds, settings, none)
        same = Halves.of(kernels, effects, scale, reference, folds)
        decoded[SAME_CELLS] = same.decode(folds, settings, none)[METRIC]
        for metric, of_metric in decoded.items():
            scores[metric].append(of_metric.score.value)
    return scores


def p_value(score: float, null: list[float]) -> float:
    """Share of the shuffles, the true labels counted, that reach the score; NaN without shuffles."""
    return float((1 + (np.asarray(null) >= score).sum()) / (1 + len(null))) if null else math.nan


def _share(row: Row, score: Decoded, ceiling: Decoded, draws: NDArray[np.int32]) -> Score:
    """The score over the ceiling, where the ceiling is above zero beyond its interval."""
    of_ceiling = ceiling.resampled(draws)
    low, high = percentile_interval(of_ceiling)
    if not low > 0:
        return row(
            SHARE,
            status="undefined",
            reason=f"the ceiling is not above 0: {ceiling.score.value:.3f}, interval {low:.3f} to {high:.3f}; "
            "a ratio to it has no bounds",
        )
    bounds = percentile_interval(score.resampled(draws) / of_ceiling)
    share = score.score.value / ceiling.score.value
    return row(SHARE, estimate=share, ci_low=bounds[0], ci_high=bounds[1], ceiling=1.0)


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
