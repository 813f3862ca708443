"""Scores of one layer: how well its cells' labels are told apart, with intervals and a null."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floating, Floats, Ints
from layerscope.statistics.intervals import LEVEL, percentile_interval
from layerscope.tables import Subject
from layerscope.tasks.label.design import Design
from layerscope.tasks.label.distances import silhouettes, votes
from layerscope.tasks.label.measures import Labellings, Measures, accuracy, auc_within, macro_f1, mean_of
from layerscope.tasks.label.novel import MIN_LABELS, NOVEL, NOVEL_KNN, novel_measures
from layerscope.tasks.label.readers import cell_scores
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.label.units import unit_measures
from layerscope.tasks.refits import Measure, UnitDraws
from layerscope.tasks.scored import NoScoreError, Scored, embedded

PROBE_MACRO_F1, PROBE_ACCURACY = "probe_macro_f1", "probe_accuracy"
KNN_MACRO_F1, KNN_ACCURACY = "knn_macro_f1", "knn_accuracy"
SILHOUETTE, AUC = "silhouette", "auc"
ENDING_RANDOM_FOLDS = "_random_folds"
RANDOM_FOLDS = PROBE_MACRO_F1 + ENDING_RANDOM_FOLDS
METRICS = (PROBE_MACRO_F1, PROBE_ACCURACY, KNN_MACRO_F1, KNN_ACCURACY, SILHOUETTE)
ALL_RIGHT = (1 - LEVEL) / 2
"""The lower bound of a perfect score is at most that of n successes in n (Clopper and Pearson 1934)."""


def score_layer(
    matrix: Floating,
    design: Design,
    settings: LabelSettings,
    subject: Subject,
) -> Scored:
    """Score a layer (cells x columns, cells as in the table that the design was made of).

    Labels of cells have the rows of :data:`METRICS`, two of them also :data:`AUC`; labels of samples or
    donors those of :func:`unit_measures`. Rows that are not finite are refused cells. NoScoreError if the
    layer is constant, or a label is left without cells.
    """
    vectors, design, remarks = _embedded(matrix, design)
    draws = UnitDraws(design.units, settings, subject.seed)
    of_level = _cell_measures if design.level == "cell" else unit_measures
    measures, failed = of_level(vectors, design, settings, draws.counts[: settings.refits], subject.family)
    if failed:
        remarks.append(f"{failed} fits of the probe did not converge")
    scored = Scored()
    for metric, (measure, null, refits) in measures.items():
        estimate, values = draws.estimate(measure), draws.resampled(measure, refits)
        if not design.has_interval:
            values = np.full(len(values), np.nan)
        low, high = percentile_interval(values)
        if design.level != "cell" and estimate == 1:
            low = min(low, ALL_RIGHT ** (1 / len(design.units)))
        if metric != SILHOUETTE:
            low = float(np.maximum(low, 0))
        shuffled = np.array([draws.estimate(of_shuffle) for of_shuffle in null])
        row = subject.row(
            metric,
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            null_mean=float(shuffled.mean()) if null else np.nan,
            p_value=design.p_value(shuffled, estimate),
            n_cells=len(vectors),
            n_items=len(np.unique(design.unit)),
            reason="; ".join(filter(None, [_how(metric, design), design.remark, *remarks])),
        )
        scored.add(row, values, draws.halves(measure))
    if settings.novel and NOVEL not in measures:
        why = f"needs {MIN_LABELS} labels of cells; there are {design.n_types}, of level {design.level}"
        scored.rows += [subject.row(name, status="undefined", reason=why) for name in (NOVEL, NOVEL_KNN)]
    return scored


def _embedded(matrix: Floating, design: Design) -> tuple[Floats, Design, list[str]]:
    """Vectors of the design's cells that a layer has, the design of these, and what was left out."""
    vectors, finite, refused = embedded(matrix, design.cells)
    design = design.among(finite)
    in_fold = np.zeros((design.n_types, int(design.folds.max()) + 1), dtype=bool)
    in_fold[design.types, design.folds] = True
    if design.level != "donor" and in_fold.sum(axis=1).min() < 2:
        refused = f"the model refused {int((~finite).sum())} of {len(finite)} cells"
        raise NoScoreError("undefined", f"{refused}, so that a label is left in fewer than two folds")
    vectors = vectors[finite]
    if (vectors == vectors[0]).all():
        raise NoScoreError("undefined", "constant layer: every cell has the same embedding")
    return vectors, design, [refused] if refused else []


def _cell_measures(
    vectors: Floats,
    design: Design,
    settings: LabelSettings,
    draws: npt.NDArray[np.int32],
    family: str,
) -> tuple[dict[str, Measures], int]:
    """Per metric its score: as it is, under every shuffle, and after every refit; and fits that failed."""
    n_units, n_types, n_shuffles = len(design.units), design.n_types, len(design.shuffled)
    types = np.vstack([design.types, design.shuffled, np.tile(design.types, (len(draws), 1))])
    weights = np.ones(types.shape)
    weights[1 + n_shuffles :] = draws[:, design.unit]
    labellings = Labellings(types, weights, n_types)
    scores, failed = cell_scores(family, vectors, labellings, design.folds, settings.penalty)
    voted = votes(vectors, labellings, design.folds, settings.neighbours, settings.metric)
    of_cells = silhouettes(vectors, labellings, settings.metric)
    metrics = METRICS if n_types > 2 else (AUC, *METRICS)
    by_metric: dict[str, list[Measure]] = {metric: [] for metric in metrics}
    for labels, of_labels, by_votes, silhouette in zip(types, scores, voted, of_cells, strict=True):
        probe = of_labels.argmax(axis=1)
        by_metric[PROBE_MACRO_F1].append(macro_f1(labels, probe, design.unit, n_units, n_types))
        by_metric[PROBE_ACCURACY].append(accuracy(labels, probe, design.unit, n_units))
        by_metric[KNN_MACRO_F1].append(macro_f1(labels, by_votes, design.unit, n_units, n_types))
        by_metric[KNN_ACCURACY].append(accuracy(labels, by_votes, design.unit, n_units))
        by_metric[SILHOUETTE].append(mean_of(silhouette, design.unit, n_units))
        if n_types == 2:
            by_metric[AUC].append(_auc(labels, of_labels, design))
    n_null = 1 + n_shuffles
    measures = {name: (of[0], of[1:n_null], of[n_null:]) for name, of in by_metric.items()}
    if design.random_folds is not None:
        true = Labellings(types[:1], weights[:1], n_types)
        leaking, n_failed = cell_scores(family, vectors, true, design.random_folds, settings.penalty)
        named = leaking[0].argmax(axis=1)
        measures[RANDOM_FOLDS] = (macro_f1(design.types, named, design.unit, n_units, n_types), [], [])
        if n_types == 2:
            measures[AUC + ENDING_RANDOM_FOLDS] = (_auc(design.types, leaking[0], design), [], [])
        failed += n_failed
    if settings.novel and n_types >= MIN_LABELS:
        measures |= novel_measures(vectors, design, settings)
    return measures, failed


def _auc(labels: Ints, scores: Floats, design: Design) -> Measure:
    """AUC within donors, of scores for two labels."""
    # a label that no training cell had has no score: then all cells are alike
    odds = np.nan_to_num(scores[:, design.positive] - scores[:, 1 - design.positive], posinf=0, neginf=0)
    return auc_within(odds, labels == design.positive, design.group, design.unit, len(design.units))


def _how(metric: str, design: Design) -> str:
    """How cells were divided for a metric, in words; the silhouette divides none."""
    if metric == SILHOUETTE:
        return f"level {design.level}"
    if metric.endswith(ENDING_RANDOM_FOLDS):
        leak = f"folds that ignore the {design.by}: what leaks between cells of one {design.by}"
        return f"level {design.level}; {leak}"
    return design.how
