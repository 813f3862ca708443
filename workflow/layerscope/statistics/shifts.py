"""Does the best layer move between conditions? The paper's central claim, tested."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from layerscope.statistics.choice import SIGNIFICANT, correct
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.layer_curves import LayerCurve

COLUMNS = (
    *("task", "protocol", "metric", "model", "condition", "other_condition"),
    *("best_layer", "other_best_layer", "shift", "shift_ci_low", "shift_ci_high"),
    *("layers_possible_in_both", "p_same", "p_same_holm", "sentence"),
)


def shifts(curves: Sequence[LayerCurve]) -> pd.DataFrame:
    """Compare the best layer of each model between every two conditions of one task, protocol and metric.

    ``shift`` is the depth of the later condition's best layer minus the earlier's, its interval from both
    bootstrap distributions. ``p_same`` tests that SOME layer is the best in both: the largest, over layers,
    of twice the smaller of the layer's two p-values of being the best; ``p_same_holm`` is corrected for all
    rows of the task and protocol, planted layers apart. ``layers_possible_in_both`` have a p-value above 0.05
    in this test.
    """
    pairs = itertools.combinations([curve for curve in curves if curve.layers], 2)
    rows = [_shift(first, second) for first, second in pairs if _family(first) == _family(second)]
    correct(rows, {"p_same_holm": "p_same"})
    table = pd.DataFrame([row | {"sentence": _sentence(row)} for row in rows], columns=list(COLUMNS))
    return table.sort_values(["task", "protocol", "model"], kind="stable", ignore_index=True)


def _family(curve: LayerCurve) -> tuple[str, ...]:
    of = curve.comparison
    return of.task, of.protocol, of.metric, curve.model.name


def _shift(first: LayerCurve, second: LayerCurve) -> dict[str, Any]:
    best, other_best = (max(c.layers, key=lambda layer: layer.estimate) for c in (first, second))
    depths, other_depths = first.best_depths, second.best_depths
    n_both = min(len(depths), len(other_depths))
    low, high = percentile_interval(other_depths[:n_both] - depths[:n_both])
    p_both = p_best_in_both(first, second)
    return {
        **dict(zip(COLUMNS, _family(first), strict=False)),
        "planted": first.model.is_planted,
        "condition": first.comparison.condition,
        "other_condition": second.comparison.condition,
        "best_layer": best.layer,
        "other_best_layer": other_best.layer,
        "shift": other_best.depth - best.depth,
        "shift_ci_low": low,
        "shift_ci_high": high,
        "layers_possible_in_both": ",".join(name for name, p in p_both.items() if p > SIGNIFICANT),
        "p_same": max(p_both.values(), default=np.nan),
    }


def p_best_in_both(first: LayerCurve, second: LayerCurve) -> dict[str, float]:
    """P-value of each layer being the best in both conditions (Bonferroni of two); empty without any."""
    p_first, p_second = (
        {layer.layer: float(p) for layer, p in zip(curve.layers, curve.p_best, strict=True) if np.isfinite(p)}
        for curve in (first, second)
    )
    return {name: min(1.0, 2 * min(p, p_second[name])) for name, p in p_first.items() if name in p_second}


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
