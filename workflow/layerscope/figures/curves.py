"""Curves, bands and lines, taken from the table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.errors import DataError
from layerscope.figures.layer_choice import read_layers
from layerscope.figures.models import Model, refuse_unknown
from layerscope.statistics.trust import decides
from layerscope.tables import OFFICIAL
from layerscope.tasks.catalogue import primary_metrics

Array = npt.NDArray[np.float64]

INPUT_POSITION = -0.16
OFFICIAL_POSITION = 1.16


SHOWN_BETTER = ("use_layer", "prefer_official", "prefer_baseline")
"""Verdicts by which something is shown to be better, and is marked; no other verdict marks anything."""


def are_blocks(layers: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which layers are outputs of a block, shape ``(n_layers,)``."""
    return np.array([layer not in ("00", OFFICIAL) for layer in layers], dtype=bool)


@dataclass(frozen=True)
class Curve:
    """Scores of one model in one condition, in the order of its layers; NaN where there is none."""

    layers: tuple[str, ...]
    position: Array  # on the depth axis
    estimate: Array
    low: Array
    high: Array

    @property
    def numbered(self) -> npt.NDArray[np.bool_]:
        """Which layers are outputs of a block, shape ``(n_layers,)``."""
        return are_blocks(self.layers)


@dataclass(frozen=True)
class Band:
    """Range of a control's scores over its seeds, layer by layer; of a single seed, its 95% interval."""

    control: str
    layers: tuple[str, ...]
    position: Array
    low: Array
    high: Array
    middle: Array  # mean of the estimates


@dataclass(frozen=True)
class Choices:
    """What the table of the layer choice says of one task and protocol."""

    metrics: Mapping[str, str] = field(default_factory=dict)  # the primary ones, by condition
    use: Mapping[tuple[str, str], str] = field(default_factory=dict)  # what to use, by condition and model
    protocols: frozenset[str] = frozenset()  # those that decided


def layer_choices(path: str | Path, *, task: str, protocol: str) -> Choices:
    """Read primary metrics, and what was shown to be better, from the table of the layer choice."""
    table = read_layers(path)
    of_task = table[table["task"] == task]
    drawn = of_task[of_task["protocol"] == protocol]
    deciding = of_task[decides(of_task) & of_task["condition"].isin(drawn["condition"])]
    use = {
        (row["condition"], row["model"]): row["use"] if row["verdict"] in SHOWN_BETTER else ""
        for row in deciding.to_dict("records")
    }
    metrics = dict(zip(drawn["condition"], drawn["metric"], strict=True))
    return Choices(metrics, use, frozenset(deciding["protocol"]))


def select(
    scores: pd.DataFrame,
    models: Mapping[str, Model],
    *,
    task: str,
    protocol: str,
    metrics: Mapping[str, str],
    source: str,
) -> pd.DataFrame:
    """Rows of one task, protocol and metric (by condition, else the task's), and those that say why not."""
    default = primary_metrics(task, protocol)[0]
    chosen = scores[(scores["task"] == task) & (scores["protocol"] == protocol)]
    metric = chosen["condition"].map(lambda name: metrics.get(name, default)).astype(str)
    # a score that could not be tried has no metric, and no layer
    chosen = chosen[(chosen["metric"] == metric) | ((chosen["metric"] == "") & (chosen["status"] != "ok"))]
    if chosen.empty:
        have = scores[["task", "protocol", "metric"]].drop_duplicates().agg(" / ".join, axis=1)
        raise DataError(
            f"{source}: no rows of task {task!r}, protocol {protocol!r}, metric {default!r}; "
            f"the file has {', '.join(have) or 'no rows'}"
        )
    refuse_unknown(chosen, models, source)
    twice = chosen[chosen.duplicated(["condition", "model", "layer"])]
    if not twice.empty:
        row = twice.iloc[0]
        raise DataError(
            f"{source}: condition {row['condition']}, model {row['model']}, layer {row['layer']} has more "
            f"than one row of metric {row['metric']!r}; expected one"
        )
    return chosen


def curve(rows: pd.DataFrame, condition: str, model: str) -> Curve:
    """Take the curve of one model in one condition from rows of one metric."""
    own = rows[(rows["condition"] == condition) & (rows["model"] == model) & (rows["layer"] != "")]
    own = own.sort_values("layer", kind="stable")
    numbers = own[["estimate", "ci_low", "ci_high"]].where(own["status"] == "ok").to_numpy(dtype=np.float64)
    position = [_position(layer, at) for layer, at in zip(own["layer"], own["depth"], strict=True)]
    estimate, low, high = numbers.T
    return Curve(tuple(own["layer"]), np.array(position, dtype=np.float64), estimate, low, high)


def _position(layer: str, at: float) -> float:
    if layer == OFFICIAL:
        return OFFICIAL_POSITION
    if layer == "00":
        return INPUT_POSITION
    return 0.0 if np.isnan(at) else float(at)  # the only block of a one-block model


def bands(rows: pd.DataFrame, condition: str, models: Mapping[str, Model], of: str) -> list[Band]:
    """Range of the estimates of each kind of control of a model; a single seed has its own interval."""
    controls = {name: model.control for name, model in models.items() if model.of == of}
    own = rows[(rows["condition"] == condition) & rows["model"].isin(list(controls)) & (rows["layer"] != "")]
    result = []
    for kind in sorted(set(controls.values())):
        of_kind = own[own["model"].map(controls) == kind]
        scored = of_kind[of_kind["status"] == "ok"]
        n_seeds = scored["model"].nunique()
        if not n_seeds:
            continue
        lowest, highest = ("ci_low", "ci_high") if n_seeds == 1 else ("estimate", "estimate")
        scores = scored.groupby("layer")
        ranges = pd.concat([scores[lowest].min(), scores[highest].max(), scores["estimate"].mean()], axis=1)
        depths = of_kind.groupby("layer")["depth"].first()
        position = np.array([_position(layer, at) for layer, at in depths.items()])
        low, high, middle = ranges.reindex(depths.index).to_numpy().T
        result.append(Band(kind, tuple(depths.index), position, low, high, middle))
    return result
