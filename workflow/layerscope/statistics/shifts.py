"""Does the best layer move between conditions? The paper's central claim, tested."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.choice import SIGNIFICANT
from layerscope.statistics.evidence import Comparison, Measured, Model, stacked
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.layer_curves import best_depths
from layerscope.statistics.multiple_testing import holm, p_best

COLUMNS = (
    "task",
    "protocol",
    "metric",
    "model",
    "condition",
    "other_condition",
    "best_layer",
    "other_best_layer",
    "shift",
    "shift_ci_low",
    "shift_ci_high",
    "layers_possible_in_both",
    "p_same",
    "p_same_holm",
    "sentence",
)


def shifts(comparisons: Sequence[Comparison], models: Sequence[Model]) -> pd.DataFrame:
    """Compare the best layer of each model between every two conditions of one task, protocol and metric.

    Parameters
    ----------
    comparisons
        All comparisons of a study, in the order of its conditions: of a pair, the later one is ``other``.
    models
        The foundation models.

    Returns
    -------
    One row per model and pair of conditions, columns :data:`COLUMNS`. ``shift`` is the depth of the other
    condition's best layer minus that of the first's, its interval from the bootstrap distributions of both
    (conditions are resampled independently of each other). ``p_same`` tests that SOME layer is the best in
    both: the largest, over layers, of twice the smaller of the layer's two p-values of being the best.
    ``p_same_holm`` is corrected for all rows of the same task and protocol. ``layers_possible_in_both`` are
    those whose p-value in this test exceeds 0.05: each condition tests them at 0.025 (Bonferroni of the two),
    so they need not be the layers that are in both 95% confidence sets.
    """
    rows = [
        row
        for first, second in itertools.combinations(comparisons, 2)
        if (first.task, first.protocol, first.metric) == (second.task, second.protocol, second.metric)
        for model in models
        if (row := _shift(first, second, model))
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("p_same_holm", "sentence")])
    families = table.groupby(["task", "protocol"])["p_same"]
    table["p_same_holm"] = families.transform(lambda p: holm(p.to_numpy())) if len(table) else []
    table["sentence"] = [_sentence(row) for row in table.to_dict("records")]
    ordered = table.sort_values(["task", "protocol", "model"], kind="stable")
    return ordered[list(COLUMNS)].reset_index(drop=True)


def _shift(first: Comparison, second: Comparison, model: Model) -> dict[str, Any] | None:
    one, other = first.layers(model), second.layers(model)
    if not one or not other:
        return None
    best, other_best = (max(layers, key=lambda layer: layer.estimate) for layers in (one, other))
    depths, other_depths = best_depths(one), best_depths(other)
    n_both = min(len(depths), len(other_depths))
    low, high = percentile_interval(other_depths[:n_both] - depths[:n_both])
    p_both = p_best_in_both(one, other)
    possible = [name for name, p in p_both.items() if not p <= SIGNIFICANT]
    return {
        "task": first.task,
        "protocol": first.protocol,
        "metric": first.metric,
        "model": model.name,
        "condition": first.condition,
        "other_condition": second.condition,
        "best_layer": best.layer,
        "other_best_layer": other_best.layer,
        "shift": other_best.depth - best.depth,
        "shift_ci_low": low,
        "shift_ci_high": high,
        "layers_possible_in_both": ",".join(possible),
        "p_same": max(p_both.values(), default=np.nan),
    }


def p_best_in_both(one: Sequence[Measured], other: Sequence[Measured]) -> dict[str, float]:
    """P-value of each layer being the best in both conditions (Bonferroni of two); empty without any."""
    p_values = []
    for layers in (one, other):
        values = stacked(layers)
        if values is None:
            return {}
        found = p_best([layer.estimate for layer in layers], values)
        p_values.append({layer.layer: float(p) for layer, p in zip(layers, found, strict=True)})
    return {
        name: min(1.0, 2 * min(p_values[0][name], p_values[1][name]))
        for name in p_values[0]
        if name in p_values[1]
    }


def _sentence(row: dict[str, Any]) -> str:
    where = f"{row['model']}: best layer {row['best_layer']} in {row['condition']}"
    where += f" and {row['other_best_layer']} in {row['other_condition']}"
    if np.isnan(row["p_same_holm"]):
        return f"{where}; whether it moves could not be tested."
    if row["p_same_holm"] < SIGNIFICANT:
        return f"{where}; it moves between the two (p = {row['p_same_holm']:.2g})."
    if row["best_layer"] == row["other_best_layer"]:
        return f"{where}: the same layer."
    shared = row["layers_possible_in_both"].split(",")
    listed = f"layer {shared[0]}" if len(shared) == 1 else f"any of {len(shared)} layers"
    return f"{where}; that is no evidence of a move: {listed} may be the best in both."
