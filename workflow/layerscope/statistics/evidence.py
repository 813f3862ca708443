"""Score rows and their bootstrap values, as the choice of a layer needs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope.arrays import Floats
from layerscope.errors import ConfigError, DataError
from layerscope.models.catalogue import PLANTED
from layerscope.tables import read_resamples
from layerscope.tasks.catalogue import TASKS, guard_of, primary_metrics

PCA = "hvg_pca"
"""Family of the baseline that every model is held against."""
KINDS = ("foundation", "baseline", "control")
Identity = tuple[str, str, str, str, str]
"""Task, condition, protocol, model and layer."""
IDENTITY = ("task", "condition", "protocol", "model", "layer")
Resamples = Iterable[str | Path] | Mapping[Identity, Mapping[str, Floats]]
"""Bootstrap values by metric of every layer: their files, or the values themselves."""


@dataclass(frozen=True)
class Model:
    """What a study says of a model: its kind, and for a control of what and how."""

    name: str
    kind: str
    n_layers: int
    control: str = ""
    of: str = ""
    before_blocks: float = 0.0  # cost of embedding tokens, in operations of one block
    after_blocks: float = 0.0  # likewise of making the official embedding
    family: str = ""

    @property
    def is_planted(self) -> bool:
        """Whether its layers are made from a simulation's truth, by no model."""
        return self.family == PLANTED

    @property
    def is_pca(self) -> bool:
        """Whether it is a PCA of the most variable genes."""
        return (self.family or self.name) == PCA

    def numbered(self) -> list[str]:
        """Names of the blocks' outputs: the layers among which one is chosen."""
        return [f"{layer:02d}" for layer in range(1, self.n_layers + 1)]


def models_of(given: Mapping[str, Any], source: str = "--models") -> dict[str, Model]:
    """Read what a study says of its models; ``source`` names them in the message of a ConfigError."""
    models = {}
    for name, entry in given.items():
        kind, layers = (entry.get(key) if isinstance(entry, Mapping) else None for key in ("kind", "layers"))
        if kind not in KINDS:
            raise ConfigError(f"{source}: {name}: kind must be {', '.join(KINDS)}; found {kind!r}")
        if kind == "foundation" and not isinstance(layers, int):
            raise ConfigError(f"{source}: {name}: layers must be a number, found {layers!r}")
        about: dict[str, Any] = {key: entry.get(key) or "" for key in ("control", "of", "family")}
        about |= {key: float(entry.get(key) or 0) for key in ("before_blocks", "after_blocks")}
        models[name] = Model(name, kind, layers or 0, **about)
    return models


@dataclass(frozen=True)
class Measured:
    """One score that exists: its row, and its bootstrap values (None where none are written)."""

    model: str
    layer: str
    estimate: float
    ci_low: float
    ci_high: float
    depth: float
    resamples: Floats | None
    chosen_on: Floats | None = None
    scored_on: Floats | None = None
    chance: float = float("nan")  # mean score under the null
    p_value: float = float("nan")  # of the score itself (Mantel, say)

    @property
    def reaches_chance(self) -> bool:
        """Whether the interval goes down to the null's mean, or to 0 where that mean is lower or unknown."""
        return bool(self.ci_low <= np.fmax(self.chance, 0))


@dataclass(frozen=True)
class Comparison:
    """All scores of one condition by one protocol and metric: what may be compared with what."""

    condition: str
    task: str
    protocol: str
    metric: str
    measured: Mapping[tuple[str, str], Measured]
    rows: pd.DataFrame
    guard: Comparison | None = None  # of the metric that must not be lost for this one, if there is one

    @property
    def about(self) -> dict[str, str]:
        """What all rows about it have in common."""
        names = ("condition", "task", "protocol", "metric")
        return {name: getattr(self, name) for name in names}

    def layers(self, model: Model) -> list[Measured]:
        """Measured blocks of a model, in order."""
        return [
            self.measured[key] for layer in model.numbered() if (key := (model.name, layer)) in self.measured
        ]

    def get(self, model: str, layer: str) -> Measured | None:
        """A score, if it exists."""
        return self.measured.get((model, layer))

    def best_of(self, models: Iterable[Model]) -> Measured | None:
        """Highest score of these models, over all their layers; ties go to the first."""
        names = {model.name for model in models}
        scores = (score for score in self.measured.values() if score.model in names)
        return max(scores, key=lambda score: score.estimate, default=None)

    def reference_baseline(self) -> str:
        """The baseline that the reference was computed from, which has no score then; else nothing."""
        name = TASKS[self.task].baseline if self.task in TASKS else ""
        rows = self.rows[(self.rows["model"] == name) & (self.rows["status"] == "undefined")]
        return name if len(rows) else ""

    def reasons(self, model: str) -> list[str]:
        """Why scores of a model are missing, each reason once."""
        lost = self.rows[(self.rows["model"] == model) & (self.rows["status"] != "ok")]
        return list(dict.fromkeys(lost["reason"]))


def comparisons(
    scores: pd.DataFrame, resamples: Resamples, models: Mapping[str, Model]
) -> Iterator[Comparison]:
    """Group scores by condition, task and protocol, with their primary metric's bootstrap values.

    Conditions come by name, or in the order of the categories where their column is categorical. Resamples
    are files ``.../{task}/{condition}/{protocol}/{model}/layer_{layer}.npz``, else a DataError; or arrays by
    those five names. Rows of models that are not given are left out.
    """
    of_layer: Mapping[Identity, Mapping[str, Floats] | str | Path] = (
        resamples if isinstance(resamples, Mapping) else {_identity(path): path for path in resamples}
    )
    known = scores[scores["model"].isin(list(models))]
    keys = ["task", "condition", "protocol"]
    for (task, condition, protocol), rows in known.groupby(keys, sort=True, observed=True):
        measurable = rows[rows["status"] == "ok"]
        candidates = primary_metrics(task, protocol)
        metric = next((name for name in candidates if (measurable["metric"] == name).any()), candidates[0])
        about, guard = (condition, task, protocol), guard_of(task, metric)
        compared = Comparison(*about, metric, *_of_metric(metric, rows, of_layer))
        guarding = Comparison(*about, guard, *_of_metric(guard, rows, of_layer)) if guard else None
        yield replace(compared, guard=guarding)


def _of_metric(
    metric: str, rows: pd.DataFrame, of_layer: Mapping[Identity, Mapping[str, Floats] | str | Path]
) -> tuple[dict[tuple[str, str], Measured], pd.DataFrame]:
    """The scores of a metric that exist, and its rows with those of layers that have no metric at all."""
    of_metric = rows[rows["metric"].isin([metric, ""])]
    measured = {}
    for row in of_metric[of_metric["status"] == "ok"].to_dict("records"):
        identity = tuple(row[key] for key in IDENTITY)
        values = of_layer.get(identity, {})
        values = values if isinstance(values, Mapping) else read_resamples(values)
        measured[row["model"], row["layer"]] = _measured(row, metric, values)
    return measured, of_metric


def _measured(row: Mapping[str, Any], metric: str, values: Mapping[str, Floats]) -> Measured:
    return Measured(
        row["model"],
        row["layer"],
        row["estimate"],
        row["ci_low"],
        row["ci_high"],
        row["depth"],
        values.get(metric),
        values.get(f"{metric}@chosen_on"),
        values.get(f"{metric}@scored_on"),
        row["null_mean"],
        row["p_value"],
    )


def _identity(path: str | Path) -> Identity:
    parts = Path(path).parts[-5:]
    if len(parts) < 5 or not parts[-1].startswith("layer_") or Path(path).suffix != ".npz":
        raise DataError(f"{path}: expected .../TASK/CONDITION/PROTOCOL/MODEL/layer_LAYER.npz")
    task, condition, protocol, model, name = parts
    return task, condition, protocol, model, name.removeprefix("layer_").removesuffix(".npz")


def controls_of(models: Mapping[str, Model], model: Model, control: str) -> list[Model]:
    """Controls of a model by their kind (``untrained``, say)."""
    return [other for other in models.values() if other.of == model.name and other.control == control]


def stacked(measured: Sequence[Measured]) -> Floats | None:
    """Paired bootstrap values of several scores, shape ``(n_resamples, n_scores)``; None if one has none."""
    values = [score.resamples for score in measured if score.resamples is not None and score.resamples.size]
    if len(values) < len(measured) or not values:
        return None
    for score, own in zip(measured, values, strict=True):
        if len(own) != len(values[0]):
            first = measured[0]
            raise DataError(
                f"{first.model} layer {first.layer} has {len(values[0])} resamples and {score.model} layer "
                f"{score.layer} has {len(own)}: score them again with the same settings"
            )
    return np.column_stack(values)
