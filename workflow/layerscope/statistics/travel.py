"""Does the choice of a layer travel? Chosen on all other conditions, scored on the one left out.

Gains over the final layer are shares of the metric's range, so that several tasks can choose together: the
layer with the highest mean, over tasks, of the mean over their conditions. Conditions that are scored on the
same cells are left out together and count as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from layerscope.arrays import Floats
from layerscope.statistics.choice import SIGNIFICANT
from layerscope.statistics.evidence import Measured, stacked
from layerscope.statistics.intervals import UPPER_QUANTILE, percentile_interval
from layerscope.statistics.layer_curves import LayerCurve
from layerscope.statistics.multiple_testing import max_t
from layerscope.statistics.trust import most_trusted
from layerscope.tasks.catalogue import metric_range

MIN_CONDITIONS = 3
"""Conditions of other cells that an interval over conditions needs."""
ONE_TASK, ALL_TASKS, ALL = "task", "all tasks", "all"
SHARE = "share of the metric's range"
ABOUT = ("scope", "task", "protocol", "metric", "model")
COLUMNS = (
    *(*ABOUT, "left_out", "n_conditions", "chosen_layer", "chosen_depth", "score", "final_score"),
    *("gain", "gain_ci_low", "gain_ci_high", "status", "reason"),
)
RANK_COLUMNS = (
    *("scope", "task", "protocol", "model", "layer", "depth", "n_conditions"),
    *("mean_rank", "rank_low", "rank_high", "p_best_in_all", "may_be_best_in_all"),
)


@dataclass(frozen=True)
class Evidence:
    """A model's layers in one condition, those that have a score in all conditions of the scope."""

    curve: LayerCurve
    layers: list[Measured]
    cells: str  # the condition whose cells it is scored on

    @property
    def condition(self) -> str:
        return self.curve.comparison.condition

    @property
    def task(self) -> str:
        return self.curve.comparison.task

    @property
    def range(self) -> float:
        """Of the metric."""
        return metric_range(self.task, self.curve.comparison.metric)

    @property
    def gains(self) -> Floats:
        """Each layer's score minus the final layer's, the last, in shares of the metric's range."""
        estimates = np.array([layer.estimate for layer in self.layers])
        return np.asarray((estimates - estimates[-1]) / self.range)


@dataclass(frozen=True)
class Scope:
    """A model's evidence in several conditions: those of one task and protocol, or of all tasks."""

    about: Mapping[str, str]
    evidence: list[Evidence]


def travel(curves: Sequence[LayerCurve], cells: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Choose a layer of each model on all other conditions, and score it on the one left out.

    A row for each condition left out, with the interval of the paired difference, and one for ``all``: the
    mean gain, with Student's t of the conditions' gains. ``cells`` names the condition whose cells a
    condition is scored on, where those are not its own.
    """
    rows = [row for scope in scopes(curves, cells or {}) for row in _travelled(scope)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def ranks(curves: Sequence[LayerCurve], cells: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Mean rank of each layer over conditions (1 is the highest score), and whether it may be best in all.

    In each condition a layer's lowest possible rank is 1 and the layers shown to be above it; the highest
    leaves room for those shown to be below it (max-T over all pairs, Bonferroni over conditions). So
    ``rank_low`` and ``rank_high`` hold for all layers at once with 95%. ``p_best_in_all`` is the smallest
    p-value of being the best in a condition, times their number.
    """
    rows = [row for scope in scopes(curves, cells or {}) for row in _ranked(scope)]
    return pd.DataFrame(rows, columns=list(RANK_COLUMNS))


def scopes(curves: Sequence[LayerCurve], cells: Mapping[str, str]) -> Iterator[Scope]:
    """What is asked: each model in each task, protocol and metric, and in all tasks by what decides."""
    groups: dict[tuple[str, ...], list[LayerCurve]] = {}
    deciding: dict[str, str] = {}
    for condition in dict.fromkeys(curve.comparison.condition for curve in curves):
        own = [curve.comparison.protocol for curve in curves if curve.comparison.condition == condition]
        deciding[condition] = most_trusted(own)
    for curve in curves:
        of = curve.comparison
        one = (ONE_TASK, of.task, of.protocol, of.metric, curve.model.name)
        groups.setdefault(one, []).append(curve)
        if of.protocol == deciding[of.condition]:
            groups.setdefault((ALL_TASKS, ALL, "", SHARE, curve.model.name), []).append(curve)
    for key in sorted(groups):
        about, together = dict(zip(ABOUT, key, strict=True)), groups[key]
        n_tasks = len({curve.comparison.task for curve in together})
        evidence = _in_common(together, cells)
        if evidence and (about["scope"] == ONE_TASK or n_tasks > 1):
            yield Scope(about, evidence)


def _in_common(curves: Sequence[LayerCurve], cells: Mapping[str, str]) -> list[Evidence]:
    """The layers that have a score in all of these conditions; nothing where the final one has not."""
    scored = [curve for curve in curves if curve.layers]
    names = [{layer.layer for layer in curve.layers} for curve in scored]
    common = set.intersection(*names) if names else set()
    if not common or scored[0].model.numbered()[-1] not in common:
        return []
    return [
        Evidence(
            curve,
            [layer for layer in curve.layers if layer.layer in common],
            cells.get(curve.comparison.condition, curve.comparison.condition),
        )
        for curve in scored
    ]


def chosen_on(evidence: Sequence[Evidence]) -> int:
    """Place of the layer with the highest mean gain, over tasks of the mean over their conditions."""
    tasks = dict.fromkeys(one.task for one in evidence)
    means = [np.mean([one.gains for one in evidence if one.task == task], axis=0) for task in tasks]
    return int(np.mean(means, axis=0).argmax())


def _travelled(scope: Scope) -> Iterator[dict[str, Any]]:
    by_cells: dict[str, list[float]] = {}
    for left_out in scope.evidence:
        others = [one for one in scope.evidence if one.cells != left_out.cells]
        about = {**scope.about, "left_out": left_out.condition, "n_conditions": len(others)}
        if not others:
            reason = "no condition of other cells is left to choose a layer on"
            yield about | {"status": "undefined", "reason": reason}
            continue
        unit = left_out.range if scope.about["metric"] == SHARE else 1.0
        row: dict[str, Any] = about | _gain(left_out, chosen_on(others), unit)
        by_cells.setdefault(left_out.cells, []).append(row["gain"])
        yield row
    gains = np.array([np.mean(own) for own in by_cells.values()])
    mean: dict[str, Any] = {**scope.about, "left_out": ALL, "n_conditions": len(gains), "status": "ok"}
    if len(gains):
        mean["gain"] = gains.mean()
    if len(gains) < MIN_CONDITIONS:
        few = f"{len(gains)} conditions of other cells; an interval over conditions needs {MIN_CONDITIONS}"
        yield mean | {"status": "undefined", "reason": few}
        return
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    reach = float(stdtrit(len(gains) - 1, UPPER_QUANTILE)) * error
    yield mean | {"gain_ci_low": gains.mean() - reach, "gain_ci_high": gains.mean() + reach}


def _gain(left_out: Evidence, place: int, unit: float) -> dict[str, Any]:
    """Score of a layer that other conditions chose, and its paired gain over the final layer."""
    chosen, final = left_out.layers[place], left_out.layers[-1]
    values = stacked([chosen, final])
    low, high = (np.nan, np.nan) if values is None else percentile_interval(values[:, 0] - values[:, 1])
    return {
        "chosen_layer": chosen.layer,
        "chosen_depth": chosen.depth,
        "score": chosen.estimate,
        "final_score": final.estimate,
        "gain": (chosen.estimate - final.estimate) / unit,
        "gain_ci_low": low / unit,
        "gain_ci_high": high / unit,
        "status": "ok",
        "reason": "",
    }


def _ranked(scope: Scope) -> Iterator[dict[str, Any]]:
    evidence, n_conditions = scope.evidence, len(scope.evidence)
    bounds = np.array([rank_bounds(one.layers, SIGNIFICANT / n_conditions) for one in evidence])
    means = bounds.mean(axis=0)
    for place, layer in enumerate(evidence[0].layers):
        p_best = [
            float(one.curve.p_best[[own.layer for own in one.curve.layers].index(layer.layer)])
            for one in evidence
        ]
        p_all = float(min(1.0, n_conditions * np.min(p_best)))
        yield {
            **{name: scope.about[name] for name in ABOUT if name != "metric"},
            "layer": layer.layer,
            "depth": layer.depth,
            "n_conditions": n_conditions,
            **dict(zip(("mean_rank", "rank_low", "rank_high"), means[:, place], strict=True)),
            "p_best_in_all": p_all,
            "may_be_best_in_all": "" if np.isnan(p_all) else p_all > SIGNIFICANT,
        }


def rank_bounds(layers: Sequence[Measured], level: float) -> Floats:
    """Rank of each layer in one condition, and the lowest and highest that it may have, ``(3, n_layers)``."""
    estimates = np.array([layer.estimate for layer in layers])
    above, equal = estimates[:, None] < estimates, estimates[:, None] == estimates
    rank = above.sum(axis=1) + (equal.sum(axis=1) + 1) / 2
    values = stacked(layers)
    if values is None:
        return np.array([rank, np.full(len(layers), np.nan), np.full(len(layers), np.nan)])
    first, second = np.triu_indices(len(layers), 1)
    ahead = estimates[first] - estimates[second]
    p = max_t(ahead, values[:, first] - values[:, second]).p if len(first) else np.empty(0)
    shown = np.zeros((len(layers), len(layers)), dtype=bool)  # that the row's layer is below the column's
    better = p < level
    shown[second[better & (ahead > 0)], first[better & (ahead > 0)]] = True
    shown[first[better & (ahead < 0)], second[better & (ahead < 0)]] = True
    return np.array([rank, 1 + shown.sum(axis=1), len(layers) - shown.sum(axis=0)])
