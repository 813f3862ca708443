"""Protocols ``paper`` and ``released``: how well a layer keeps which perturbations act alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.perturbation.centroids import GroupSums, why_undefined
from layerscope.perturbation.pairs import Pairs, SameModule, Statistic, estimate, resample
from layerscope.perturbation.similarity import cosine_matrix
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tables import Score

Array = NDArray[np.float64]
MIN_PERTURBATIONS = 4
MODULE = "true_module"
MODULES_JOINED_BY = "+"
METRIC = "spearman"
MODULE_METRIC = "auc_same_module"


def scores_of_all_cells(
    cells: GroupSums,
    obs: pd.DataFrame,
    names: Sequence[str],
    reference: Array,
    about: Mapping[str, Any],
    *,
    seed: int,
    n_resamples: int,
) -> tuple[list[Score], dict[str, Array]]:
    """Score a layer by protocol ``paper`` or ``released``, which look at the same cells as their reference.

    The centroid of a perturbation is the mean of its cells; the layer's similarity is the cosine of
    centroids; the score is Spearman's correlation of its upper triangle with the reference's. Where the
    cells carry their true module, ``auc_same_module`` says how well the layer's similarity tells pairs of
    one module from others.

    Parameters
    ----------
    cells
        Sums of the layer over the cells of each perturbation in ``names``.
    obs
        The cells' table.
    names, reference
        The reference's perturbations and their similarity, shape ``(n, n)``.
    about
        What all rows say alike: condition, model, layer, depth, task, protocol.
    seed, n_resamples
        Of the bootstrap over perturbations.

    Returns
    -------
    The rows, and the bootstrap values of each metric, shape ``(n_resamples,)``.
    """
    present = cells.counts > 0
    used = [name for name, there in zip(names, present, strict=True) if there]
    centroids = cells.means()[present]
    metrics = [METRIC, MODULE_METRIC] if MODULE in obs else [METRIC]
    common = {**about, "n_cells": int(cells.counts.sum()), "n_items": len(used), "seed": seed}
    reason = _too_few(used, names) or why_undefined(centroids)
    if reason:
        nothing = np.full(n_resamples, math.nan)
        rows = [Score(**common, metric=metric, status="undefined", reason=reason) for metric in metrics]
        return rows, dict.fromkeys(metrics, nothing)
    pairs = Pairs(len(used))
    similarity = pairs.of(cosine_matrix(centroids))
    statistics: dict[str, Statistic] = {
        METRIC: WeightedSpearman(similarity, pairs.of(reference[np.ix_(present, present)]))
    }
    if MODULE in obs:
        statistics[MODULE_METRIC] = SameModule(similarity, same_module(obs, used, pairs))
    found = resample(statistics, names, used, seed, n_resamples)
    rows = [
        _row(common, name, estimate(statistics[name], len(pairs)), found[name], names, used)
        for name in metrics
    ]
    return rows, found


def group_cells(obs: pd.DataFrame, names: Sequence[str], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Index into ``names`` of each cell's perturbation; -1 for control cells, others and unusable ones."""
    number = {name: index for index, name in enumerate(names)}
    labels = obs["perturbation"].astype(str)
    group: NDArray[np.int64] = labels.map(number).astype(float).fillna(-1).to_numpy().astype(np.int64)
    group[obs["is_control"].to_numpy(dtype=bool) | ~usable] = -1
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
            "one of the similarity matrices is constant" if metric == METRIC else "all pairs are of one kind"
        )
        return Score(**common, metric=metric, status="undefined", reason=why)
    low, high = percentile_interval(values)
    missing = len(names) - len(used)
    remark = f"{missing} of {len(names)} perturbations have no cell that the model accepts" if missing else ""
    return Score(**common, metric=metric, estimate=value, ci_low=low, ci_high=high, reason=remark)
