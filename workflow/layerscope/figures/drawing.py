"""What is drawn in the main figures: panels in rows, score rows, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from layerscope.figures.curves import Choice
from layerscope.figures.models import Model
from layerscope.figures.wording import metric_label
from layerscope.tasks.catalogue import primary_metrics

MAX_CURVES = 4


@dataclass(frozen=True)
class Panel:
    """One condition, with the foundation models that are drawn in it."""

    condition: str
    models: tuple[str, ...]


def arrange(conditions: Sequence[str], models: Mapping[str, Model]) -> list[list[Panel]]:
    """Lay out panels in rows: one a condition and group of models, a row for each group.

    Models with controls stand alone, since bands of two models cannot be told apart in greyscale.
    """
    groups = _groups(models)
    if len(groups) == 1:
        return _rows([Panel(name, groups[0]) for name in conditions])
    if len(conditions) == 1:
        return _rows([Panel(conditions[0], group) for group in groups])
    return [[Panel(name, group) for name in conditions] for group in groups]


def _groups(models: Mapping[str, Model]) -> list[tuple[str, ...]]:
    """Models that share a panel."""
    foundation = [model for model in models.values() if model.kind == "foundation"]
    if any(model.kind == "control" for model in models.values()):
        return [(model.name,) for model in foundation] or [()]
    if len(foundation) <= MAX_CURVES:
        return [tuple(model.name for model in foundation)]
    families: dict[str, list[str]] = {}
    for model in foundation:
        families.setdefault(model.family, []).append(model.name)
    return [
        tuple(names[start : start + MAX_CURVES])
        for names in families.values()
        for start in range(0, len(names), MAX_CURVES)
    ]


def _rows(panels: list[Panel]) -> list[list[Panel]]:
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    return [panels[start : start + columns] for start in range(0, len(panels), columns)]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn: panels in rows, and the score rows of one task, protocol and, by condition, metric."""

    task: str
    protocol: str
    panels: Sequence[Sequence[Panel]]
    rows: pd.DataFrame
    models: Mapping[str, Model]  # those that have rows
    metrics: Mapping[str, str]
    chosen: Mapping[tuple[str, str], Choice]  # by condition and model, where known
    ceilings: Mapping[str, tuple[float, float]]  # 95% interval of each condition's noise ceiling, where known
    settings: Mapping[str, Any]

    @property
    def without_score(self) -> pd.DataFrame:
        """Rows that have a reason instead of a score."""
        return self.rows[self.rows["status"] != "ok"]

    @property
    def conditions(self) -> list[str]:
        """Conditions, in the order of their panels."""
        return list(dict.fromkeys(panel.condition for row in self.panels for panel in row))

    @property
    def split(self) -> bool:
        """Whether the models are divided among panels."""
        return len({panel.models for row in self.panels for panel in row}) > 1

    def label(self, condition: str | None = None) -> str:
        """Label of the metric of one condition, or of all if it is the same, else just "score"."""
        names = self.conditions if condition is None else [condition]
        labels = {metric_label(self.task, self.metric(name)) for name in names}
        return labels.pop() if len(labels) == 1 else "Score (metric: see each panel)"

    def metric(self, condition: str) -> str:
        """Metric of a condition; the task's own where no row has one."""
        return self.metrics.get(condition, primary_metrics(self.task, self.protocol)[0])

    def has(self, kind: str) -> bool:
        """Whether a model of this kind has rows."""
        return any(model.kind == kind for model in self.models.values())

    @property
    def tells_apart(self) -> bool:
        """Whether it is known which layers cannot be told from the best one."""
        return any(choice.alike for choice in self.chosen.values())

    @property
    def by_protocol(self) -> str:
        """``by protocol strict``, where another protocol than the drawn one chose some of the layers."""
        protocols = {choice.protocol for choice in self.chosen.values()}
        return f"by protocol {' or '.join(sorted(protocols))}" if protocols - {self.protocol} else ""
