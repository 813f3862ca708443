"""Scores of one layer: how well its cells' types are told apart, with intervals and a null."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.statistics.splits import Splits
from layerscope.tables import Score
from layerscope.tasks.cell_type.design import Design, NoScoreError
from layerscope.tasks.cell_type.distances import neighbours_and_silhouettes
from layerscope.tasks.cell_type.measures import Labellings, Measure, accuracy, macro_f1, mean_of
from layerscope.tasks.cell_type.probe import probe_predictions
from layerscope.tasks.cell_type.settings import CellTypeSettings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Scored = tuple[list[Score], dict[str, Floats]]

PROBE_MACRO_F1, PROBE_ACCURACY = "probe_macro_f1", "probe_accuracy"
KNN_MACRO_F1, KNN_ACCURACY = "knn_macro_f1", "knn_accuracy"
SILHOUETTE = "silhouette"
RANDOM_FOLDS = "probe_macro_f1_random_folds"
METRICS = (PROBE_MACRO_F1, PROBE_ACCURACY, KNN_MACRO_F1, KNN_ACCURACY, SILHOUETTE)
UPPER_QUANTILE = (1 + LEVEL) / 2
Measures = tuple[Measure, list[Measure], list[Measure]]
CHOSEN_ON, SCORED_ON = "@chosen_on", "@scored_on"
"""Endings of the names under which a metric's values on the two halves of each split are stored."""


@dataclass(frozen=True)
class Layer:
    """The cells of a design that a layer has vectors of, in the design's order.

    Attributes
    ----------
    vectors
        Shape ``(n_cells, n_columns)``, float64.
    types, folds, unit, shuffled
        As in the design, of these cells.
    random_folds
        As in the design.
    """

    vectors: Floats
    types: Ints
    folds: Ints
    unit: Ints
    shuffled: Ints
    random_folds: Ints | None


def score_layer(
    matrix: npt.NDArray[np.floating],
    design: Design,
    settings: CellTypeSettings,
    about: Mapping[str, Any],
    seed: int,
) -> Scored:
    """Score a layer.

    Parameters
    ----------
    matrix
        The layer, cells x columns, cells as in the table that the design was made of; rows that are not
        finite are refused cells.
    design
        Which cells are scored, and by which folds.
    settings
        Probe, neighbours and resampling.
    about
        What all rows say alike: condition, model, layer, depth, task, protocol.
    seed
        Of the bootstrap.

    Returns
    -------
    Rows of :data:`METRICS`, and of the probe under folds that ignore donors where there are any; and of each
    the bootstrap values, shape ``(n_resamples,)``, and the values on both halves of the cells, shape
    ``(n_splits,)``.

    Raises
    ------
    NoScoreError
        If the layer is constant, or the model refused so many cells that a type is missing.
    """
    layer, remarks = _embedded(matrix, design)
    blocks = bootstrap_counts(seed, design.units, settings.resamples)
    counts = np.concatenate([*blocks, np.empty((0, len(design.units)), dtype=np.int32)])
    measures, failed = _measures(layer, design, settings, counts[: settings.refits])
    if failed:
        remarks.append(f"{failed} fits of the probe did not converge")
    first, second = _halves(design, settings.splits, seed)
    everyone = np.ones(len(design.units))
    common = {**about, "seed": seed, "n_cells": len(layer.types), "n_items": len(np.unique(layer.unit))}
    rows, resamples = [], {}
    for metric, (measure, null, refits) in measures.items():
        estimate, values = float(measure(everyone)), resampled(measure, refits, counts)
        low, high = percentile_interval(values)
        null_mean, p_value = _null(estimate, np.array([float(shuffled(everyone)) for shuffled in null]))
        row = Score(
            **common,
            metric=metric,
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            null_mean=null_mean,
            p_value=p_value,
            reason="; ".join(words for words in (_how(metric, design), design.remark, *remarks) if words),
        )
        rows.append(row)
        resamples[metric] = values
        resamples[metric + CHOSEN_ON], resamples[metric + SCORED_ON] = measure(first), measure(second)
    return rows, resamples


def resampled(measure: Measure, refits: Sequence[Measure], counts: npt.NDArray[np.int32]) -> Floats:
    """Values of a score in resamples of the units that are tested, and of those that trained.

    Every resample of the tests takes the predictions of one of the refits, in turn. A resample of the
    training cells holds fewer different cells than there are, so that refits are a little worse: the mean of
    what they lose is given back. For few units the values are spread as Student's t is wider than the normal
    distribution.

    Parameters
    ----------
    measure
        Score of the predictions.
    refits
        Scores of the predictions after training on resampled cells; without any, the predictions stay.
    counts
        How often each unit is tested, shape ``(n_resamples, n_units)``.
    """
    n_units = counts.shape[1]
    everyone = np.ones(n_units)
    estimate = measure(everyone)
    measures = refits or [measure]
    values = np.empty(len(counts))
    for turn, refit in enumerate(measures):
        values[turn :: len(measures)] = refit(counts[turn :: len(measures)])
    centre = np.mean([refit(everyone) for refit in measures])
    wider = np.sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, UPPER_QUANTILE) / ndtri(UPPER_QUANTILE)
    return np.asarray(np.minimum(estimate + wider * (values - centre), 1))


def unscored(about: Mapping[str, Any], none: NoScoreError, seed: int) -> Scored:
    """Rows that say why there is no number."""
    rows = [
        Score(**about, metric=metric, seed=seed, status=none.status, reason=str(none)) for metric in METRICS
    ]
    return rows, {}


def _embedded(matrix: npt.NDArray[np.floating], design: Design) -> tuple[Layer, list[str]]:
    vectors = np.asarray(matrix[design.cells], dtype=np.float64)
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    n_refused = int((~finite).sum())
    types, folds = design.types[finite], design.folds[finite]
    in_fold = np.zeros((design.n_types, int(design.folds.max()) + 1), dtype=bool)
    in_fold[types, folds] = True
    if in_fold.sum(axis=1).min() < 2:
        refused = f"the model refused {n_refused} of {len(finite)} cells"
        raise NoScoreError("undefined", f"{refused}, so that a cell type is left in fewer than two folds")
    embedded = vectors[finite]
    if (embedded == embedded[0]).all():
        raise NoScoreError("undefined", "constant layer: every cell has the same embedding")
    layer = Layer(
        vectors=embedded,
        types=types,
        folds=folds,
        unit=design.unit[finite],
        shuffled=design.shuffled[:, finite],
        random_folds=None if design.random_folds is None else design.random_folds[finite],
    )
    return layer, [f"{n_refused} refused cells left out"] if n_refused else []


def _measures(
    layer: Layer, design: Design, settings: CellTypeSettings, draws: npt.NDArray[np.int32]
) -> tuple[dict[str, Measures], int]:
    """Per metric its score: as it is, under every shuffle, and after every refit; and fits that failed."""
    n_units, n_types, n_shuffles = len(design.units), design.n_types, len(layer.shuffled)
    types = np.vstack([layer.types, layer.shuffled, np.tile(layer.types, (len(draws), 1))])
    weights = np.ones(types.shape)
    weights[1 + n_shuffles :] = draws[:, layer.unit]
    labellings = Labellings(types, weights, n_types)
    probed, failed = probe_predictions(layer.vectors, labellings, layer.folds, settings.penalty)
    voted, silhouettes = neighbours_and_silhouettes(
        layer.vectors, labellings, layer.folds, settings.neighbours, settings.metric
    )
    by_metric: dict[str, list[Measure]] = {metric: [] for metric in METRICS}
    for labels, probe, votes, silhouette in zip(types, probed, voted, silhouettes, strict=True):
        by_metric[PROBE_MACRO_F1].append(macro_f1(labels, probe, layer.unit, n_units, n_types))
        by_metric[PROBE_ACCURACY].append(accuracy(labels, probe, layer.unit, n_units))
        by_metric[KNN_MACRO_F1].append(macro_f1(labels, votes, layer.unit, n_units, n_types))
        by_metric[KNN_ACCURACY].append(accuracy(labels, votes, layer.unit, n_units))
        by_metric[SILHOUETTE].append(mean_of(silhouette, layer.unit, n_units))
    n_null = 1 + n_shuffles
    measures = {name: (of[0], of[1:n_null], of[n_null:]) for name, of in by_metric.items()}
    if layer.random_folds is not None:
        true = Labellings(types[:1], weights[:1], n_types)
        leaking, n_failed = probe_predictions(layer.vectors, true, layer.random_folds, settings.penalty)
        measures[RANDOM_FOLDS] = (macro_f1(layer.types, leaking[0], layer.unit, n_units, n_types), [], [])
        failed += n_failed
    return measures, failed


def _halves(design: Design, n_splits: int, seed: int) -> tuple[Floats, Floats]:
    """Which units lie in which half, as counts, shape ``(n_splits, n_units)``."""
    splits = Splits.of(design.units, seed, n_splits, len(design.units))
    return splits.first.astype(np.float64), splits.second.astype(np.float64)


def _null(estimate: float, null: Floats) -> tuple[float, float]:
    """Mean of the scores under shuffled labels, and the share of them (with the score's own) as high."""
    if not len(null):
        return float("nan"), float("nan")
    return float(null.mean()), float((1 + (null >= estimate).sum()) / (1 + len(null)))


def _how(metric: str, design: Design) -> str:
    """How cells were divided for a metric, in words; the silhouette divides none."""
    if metric == SILHOUETTE:
        return ""
    if metric == RANDOM_FOLDS:
        return f"folds that ignore the {design.by}: what leaks between cells of one {design.by}"
    return design.how
