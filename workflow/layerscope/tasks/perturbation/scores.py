"""Protocols ``paper`` and ``released``: how well a layer keeps which perturbations act alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tables import Score
from layerscope.tasks.perturbation.centroids import AllCells, why_undefined
from layerscope.tasks.perturbation.influence import interval, linear_resamples
from layerscope.tasks.perturbation.many import MANY, products, spearman_of_many, upper_triangle
from layerscope.tasks.perturbation.pairs import (
    CHOSEN_ON,
    SCORED_ON,
    Pairs,
    SameModule,
    Statistic,
    estimate,
    on_halves,
    random_halves,
    resample,
)
from layerscope.tasks.perturbation.similarity import cosine_matrix

Array = NDArray[np.float64]
MIN_PERTURBATIONS = 4
MODULE = "true_module"
MODULES_JOINED_BY = "+"
METRIC = "spearman"
CENTRED = "spearman_centred"
UNIT_NORM = "spearman_unit_norm"
MODULE_METRIC = "auc_same_module"


def scores_of_all_cells(
    cells: AllCells,
    obs: pd.DataFrame,
    names: Sequence[str],
    reference: NDArray[np.floating],
    about: Mapping[str, Any],
    *,
    seed: int,
    n_resamples: int,
    n_splits: int,
    threads: int = 1,
) -> tuple[list[Score], dict[str, Array]]:
    """Score a layer by protocol ``paper`` or ``released``, which look at the same cells as their reference.

    The centroid of a perturbation is the mean of its cells; the layer's similarity is the cosine of
    centroids; the score is Spearman's correlation of its upper triangle with the reference's. Beside it the
    same of centroids minus the control's (``spearman_centred``) and of cells of unit length
    (``spearman_unit_norm``). Where the cells carry their true module, ``auc_same_module`` says how well the
    layer's similarity tells pairs of one module from others.

    Parameters
    ----------
    cells
        Sums of the layer over the control's cells and those of each perturbation in ``names``.
    obs
        The cells' table.
    names, reference
        The reference's perturbations and their similarity, shape ``(n, n)``.
    about
        What all rows say alike: condition, model, layer, depth, task, protocol.
    seed, n_resamples, n_splits
        Of the bootstrap over perturbations, and of their halves.
    threads
        Of use for more than ``many.MANY`` perturbations, which have the row
        ``spearman`` alone; the result does not depend on it.

    Returns
    -------
    The rows; and of each metric that has a number the bootstrap values, shape ``(n_resamples,)``, and the
    values on both halves of the perturbations, shape ``(n_splits,)``.
    """
    counts = cells.as_they_are.counts
    present = counts[1:] > 0
    used = [name for name, there in zip(names, present, strict=True) if there]
    common = {**about, "n_cells": int(counts[1:].sum()), "n_items": len(used), "seed": seed}
    plain = cells.as_they_are.means()
    if len(used) > MANY:
        drawn = (names, used, seed, n_resamples, n_splits, threads)
        return _scores_of_many(plain[1:][present], reference, present, common, *drawn)
    pairs = Pairs(len(used))
    target = pairs.of(np.asarray(reference[np.ix_(present, present)], dtype=np.float64))
    versions = {
        METRIC: plain[1:][present],
        CENTRED: plain[1:][present] - plain[0],
        UNIT_NORM: cells.unit_norm.means()[1:][present],
    }
    statistics: dict[str, Statistic] = {}
    reasons: dict[str, str] = {}
    for metric, centroids in versions.items():
        reasons[metric] = _too_few(used, names) or _no_control(metric, counts) or why_undefined(centroids)
        if not reasons[metric]:
            similarity = pairs.of(cosine_matrix(centroids))
            statistics[metric] = WeightedSpearman(similarity, target)
            if metric == METRIC and MODULE in obs:
                statistics[MODULE_METRIC] = SameModule(similarity, same_module(obs, used, pairs))
    if MODULE in obs:
        reasons[MODULE_METRIC] = reasons[METRIC]
    found = resample(statistics, names, used, seed, n_resamples) if statistics else {}
    rows = [
        Score(**common, metric=metric, status="undefined", reason=reason)
        if reason
        else _row(common, metric, estimate(statistics[metric], len(pairs)), found[metric], names, used)
        for metric, reason in reasons.items()
    ]
    for row in rows:
        if row.status != "ok":
            found.pop(row.metric, None)
            continue
        one = [statistics[row.metric]]
        halves = on_halves(one, names, used, seed, n_splits)
        found[row.metric + CHOSEN_ON], found[row.metric + SCORED_ON] = halves
    return rows, found


def _scores_of_many(
    centroids: Array,
    reference: NDArray[np.floating],
    present: NDArray[np.bool_],
    common: Mapping[str, Any],
    names: Sequence[str],
    used: Sequence[str],
    seed: int,
    n_resamples: int,
    n_splits: int,
    threads: int,
) -> tuple[list[Score], dict[str, Array]]:
    """The score of thousands of perturbations, its interval by the infinitesimal jackknife."""
    reason = why_undefined(centroids)
    if reason:
        return [Score(**common, metric=METRIC, status="undefined", reason=reason)], {}
    unit = (centroids / np.linalg.norm(centroids, axis=1, keepdims=True)).astype(np.float32)
    similarity = upper_triangle(products(unit, threads))
    target = upper_triangle(reference if present.all() else reference[np.ix_(present, present)])
    halves = random_halves(names, seed, n_splits)[:, present]
    value, influence, within = spearman_of_many(similarity, target, len(used), halves, threads)
    if not math.isfinite(value):
        reason = "one of the similarity matrices is constant"
        return [Score(**common, metric=METRIC, status="undefined", reason=reason)], {}
    low, high = interval(value, influence)
    remark = "interval by the infinitesimal jackknife"
    row = Score(**common, metric=METRIC, estimate=value, ci_low=low, ci_high=high, reason=remark)
    values = linear_resamples(value, influence, names, used, seed, n_resamples)
    return [row], {METRIC: values, METRIC + CHOSEN_ON: within[0], METRIC + SCORED_ON: within[1]}


def group_cells(obs: pd.DataFrame, names: Sequence[str], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Item of each cell: 0 the control, ``i`` the perturbation ``names[i - 1]``, -1 others and unusable."""
    number = {name: index + 1 for index, name in enumerate(names)}
    labels = obs["perturbation"].astype(str)
    group: NDArray[np.int64] = labels.map(number).astype(float).fillna(-1).to_numpy().astype(np.int64)
    group[obs["is_control"].to_numpy(dtype=bool)] = 0
    group[~usable] = -1
    return group


def same_module(obs: pd.DataFrame, names: Sequence[str], pairs: Pairs) -> NDArray[np.bool_]:
    """Whether both perturbations of each pair act in a common module.

    ``true_module`` of their cells names the modules, joined by ``+`` where there are several.
    """
    labels = obs.groupby(obs["perturbation"].astype(str), observed=True)[MODULE].first().astype(str)
    modules = [set(labels[name].split(MODULES_JOINED_BY)) - {""} for name in names]
    return np.array([bool(modules[i] & modules[j]) for i, j in zip(pairs.first, pairs.second, strict=True)])


def _too_few(used: Sequence[str], names: Sequence[str]) -> str:
    if len(used) >= MIN_PERTURBATIONS:
        return ""
    return (
        f"{len(used)} of {len(names)} perturbations have cells here; at least {MIN_PERTURBATIONS} are needed"
    )


def _no_control(metric: str, counts: NDArray[np.int64]) -> str:
    return "the model accepts no control cell" if metric == CENTRED and counts[0] == 0 else ""


def _row(
    common: Mapping[str, Any],
    metric: str,
    value: float,
    values: Array,
    names: Sequence[str],
    used: Sequence[str],
) -> Score:
    if not math.isfinite(value):
        why = (
            "one of the similarity matrices is constant"
            if metric != MODULE_METRIC
            else "all pairs are of one kind"
        )
        return Score(**common, metric=metric, status="undefined", reason=why)
    low, high = percentile_interval(values)
    missing = len(names) - len(used)
    remark = f"{missing} of {len(names)} perturbations have no cell that the model accepts" if missing else ""
    return Score(**common, metric=metric, estimate=value, ci_low=low, ci_high=high, reason=remark)
