"""What is drawn in the main figures: panels in rows, score rows, and what is known of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd

from layerscope.figures.curves import Choices
from layerscope.figures.models import Model
from layerscope.figures.sheet import wrap
from layerscope.figures.style import Style
from layerscope.figures.wording import metric_label
from layerscope.tasks.catalogue import primary_metrics

MAX_CURVES, MAX_PANELS = 3, 12


@dataclass(frozen=True)
class Panel:
    """One condition, with the foundation models that are drawn in it."""

    condition: str
    models: tuple[str, ...]


def arrange(
    conditions: Sequence[str], models: Mapping[str, Model], run: Collection[tuple[str, str]] = ()
) -> list[Sequence[Panel]]:
    """Lay out panels in rows: those of a group of models together, wrapped at a fixed number of columns.

    Where groups have different numbers of panels, so that rows would be empty, one follows the other.
    A model with controls stands alone while the panels are few; else a panel has up to three models. ``run``
    are conditions with a model that is run on them: a condition that has others has no panel of a group.
    """
    names = [model.name for model in models.values() if model.kind == "foundation"]
    own = {name: [model for model in names if (name, model) in run] or names for name in conditions}
    alone = any(model.kind == "control" for model in models.values())
    alone = alone and sum(map(len, own.values())) <= MAX_PANELS
    groups = [tuple(group) for group in wrap(names, 1 if alone else MAX_CURVES)] or [()]
    panels = [
        [Panel(name, group) for name in conditions if not group or set(own[name]) & set(group)]
        for group in groups
    ]
    one_by_one = wrap(list(chain(*panels)))
    apart = [row for of_group in panels for row in wrap(of_group)]
    ragged = len({*map(len, panels)}) > 1 and len(one_by_one) < len(apart)
    return one_by_one if ragged or len(conditions) == 1 else apart


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn: panels in rows, and the score rows of one task, protocol and, by condition, metric."""

    task: str
    protocol: str
    panels: Sequence[Sequence[Panel]]
    rows: pd.DataFrame
    models: Mapping[str, Model]  # those that have rows
    metrics: Mapping[str, str]
    styles: Mapping[str, Style]
    choices: Choices
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

    @property
    def mixed(self) -> bool:
        """Whether panels of different models stand in one row."""
        return any(len({panel.models for panel in row}) > 1 for row in self.panels)

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
    def marked(self) -> bool:
        """Whether something is shown to be better, and marked."""
        return any(self.choices.use.values())

    @property
    def by_protocol(self) -> str:
        """``by protocol strict``, where another protocol than the drawn one says what to use."""
        protocols = self.choices.protocols
        return f"by protocol {' or '.join(sorted(protocols))}" if protocols - {self.protocol} else ""
