"""Protocols ``paper`` and ``released``: how well a layer keeps which perturbations act alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from layerscope.arrays import Bools, Floating, Floats
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tables import Score, Subject
from layerscope.tasks.perturbation.genome_scale import GENOME_SCALE, spearman_of_many, upper_triangle
from layerscope.tasks.perturbation.influence import interval, linear_resamples
from layerscope.tasks.perturbation.pairs import (
    Draws,
    Pairs,
    SameModule,
    Statistic,
    of_all_pairs,
    on_halves,
    resample,
)
from layerscope.tasks.perturbation.settings import PaperSettings, ReleasedSettings
from layerscope.tasks.perturbation.similarity import Similarity, cosine_matrix, products, why_undefined
from layerscope.tasks.scored import Scored
from layerscope.tasks.screens.sums import LayerSums

MIN_PERTURBATIONS = 4
MODULE = "true_module"
MODULES_JOINED_BY = "+"
METRIC = "spearman"
CENTRED = "spearman_centred"
UNIT_NORM = "spearman_unit_norm"
MODULE_METRIC = "auc_same_module"
CONSTANT = "one of the similarity matrices is constant"


def scores_of_all_cells(
    plain: LayerSums,
    unit_norm: LayerSums,
    obs: pd.DataFrame,
    reference: Similarity,
    subject: Subject,
    settings: PaperSettings | ReleasedSettings,
) -> Scored:
    """Score a layer by protocol ``paper`` or ``released``, which look at the same cells as their reference.

    The score is Spearman's correlation of the cosines of centroids with the reference, over pairs. Beside it
    ``spearman_centred``, ``spearman_unit_norm`` and, of simulated cells, ``auc_same_module``. More than
    ``GENOME_SCALE`` perturbations have ``spearman`` alone. ``plain`` and ``unit_norm`` are sums of the cells
    of the control and of each perturbation of the reference, as they are and scaled to unit length.
    """
    counts, names = plain.counts[0], reference.names
    present = counts[1:] > 0
    used = [name for name, has_cells in zip(names, present, strict=True) if has_cells]
    draws = Draws(names, used, subject.seed, settings.resamples, settings.splits)
    target = reference.matrix if present.all() else reference.matrix[np.ix_(present, present)]

    def row(metric: str, **values: object) -> Score:
        return subject.row(metric, n_cells=int(counts[1:].sum()), n_items=len(used), **values)

    if len(used) > GENOME_SCALE:
        return _scores_of_many(plain.means()[1:][present], target, draws, row)
    statistics, reasons = _statistics(plain, unit_norm, obs, target, draws)
    resamples = resample(statistics, draws) if statistics else {}
    n_missing, n_names = len(names) - len(used), len(names)
    remark = (
        f"{n_missing} of {n_names} perturbations have no cell that the model accepts" if n_missing else ""
    )
    scored = Scored()
    for metric in (METRIC, CENTRED, UNIT_NORM, *([MODULE_METRIC] if MODULE in obs else [])):
        if metric in reasons:
            scored.rows.append(row(metric, status="undefined", reason=reasons[metric]))
            continue
        estimate = of_all_pairs(statistics[metric], Pairs(len(used)))
        low, high = percentile_interval(resamples[metric])
        made = row(metric, estimate=estimate, ci_low=low, ci_high=high, reason=remark)
        scored.add(made, resamples[metric], on_halves([statistics[metric]], draws))
    return scored


def _statistics(
    plain: LayerSums, unit_norm: LayerSums, obs: pd.DataFrame, target: Floating, draws: Draws
) -> tuple[dict[str, Statistic], dict[str, str]]:
    """By metric: statistics of the pairs, and why there is none."""
    means, present, pairs = plain.means(), plain.counts[0] > 0, Pairs(len(draws.used))
    reference = pairs.of(np.asarray(target, dtype=np.float64))
    versions = {METRIC: means, CENTRED: means - means[0], UNIT_NORM: unit_norm.means()}
    too_few = (
        f"{len(draws.used)} of {len(draws.items)} perturbations have cells here; at least "
        f"{MIN_PERTURBATIONS} are needed"
    )
    statistics: dict[str, Statistic] = {}
    reasons = {}
    for metric, of_items in versions.items():
        centroids = of_items[1:][present[1:]]
        reason = too_few if len(draws.used) < MIN_PERTURBATIONS else ""
        if metric == CENTRED and not present[0]:
            reason = reason or "the model accepts no control cell"
        reason = reason or why_undefined(centroids)
        if reason:
            reasons[metric] = reason
            continue
        similarity = pairs.of(cosine_matrix(centroids))
        statistics[metric] = WeightedSpearman(similarity, reference)
        if metric == METRIC and MODULE in obs:
            statistics[MODULE_METRIC] = SameModule(similarity, same_module(obs, draws.used, pairs))
    if METRIC in reasons:
        reasons[MODULE_METRIC] = reasons[METRIC]
    for metric in list(statistics):
        if not math.isfinite(of_all_pairs(statistics[metric], pairs)):
            reasons[metric] = CONSTANT if metric != MODULE_METRIC else "all pairs are of one kind"
            del statistics[metric]
    return statistics, reasons


def _scores_of_many(
    centroids: Floats, reference: Floating, draws: Draws, row: Callable[..., Score]
) -> Scored:
    """The score of thousands of perturbations, its interval by the infinitesimal jackknife."""
    reason = why_undefined(centroids)
    if reason:
        return Scored([row(METRIC, status="undefined", reason=reason)])
    unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    similarity = upper_triangle(products(unit.astype(np.float32)))
    score, chosen_on, scored_on = spearman_of_many(similarity, upper_triangle(reference), draws.halves())
    if not math.isfinite(score.value):
        return Scored([row(METRIC, status="undefined", reason=CONSTANT)])
    low, high = interval(score)
    remark = "interval by the infinitesimal jackknife"
    made = row(METRIC, estimate=score.value, ci_low=low, ci_high=high, reason=remark)
    scored = Scored()
    scored.add(made, linear_resamples(score, draws), (chosen_on, scored_on))
    return scored


def same_module(obs: pd.DataFrame, names: Sequence[str], pairs: Pairs) -> Bools:
    """Whether both perturbations of each pair act in a common module, of those that ``true_module`` joins."""
    labels = obs.groupby(obs["perturbation"].astype(str), observed=True)[MODULE].first().astype(str)
    modules = [set(labels[name].split(MODULES_JOINED_BY)) - {""} for name in names]
    return np.array([bool(modules[i] & modules[j]) for i, j in zip(pairs.first, pairs.second, strict=True)])
