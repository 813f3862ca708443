"""All tasks by name. Settings, statistics, figures, report and rules look here and know no task by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from layerscope.errors import ConfigError
from layerscope.settings import suggest
from layerscope.tasks.base import Task

NAMES = ("trajectory", "perturbation", "label", "integration", "response", "time")
"""Each is the name of a task and of its room."""


class _Tasks(Mapping[str, Task]):
    """Tasks by name, imported when asked for: of hundreds of jobs that start each needs one of them."""

    def __getitem__(self, name: str) -> Task:
        if name not in NAMES:
            raise KeyError(name)
        task: Task = import_module(f"layerscope.tasks.{name}.task").TASK
        return task

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


TASKS = _Tasks()
if TYPE_CHECKING:
    TaskName = str
else:
    TaskName = Literal[NAMES]

USUAL = "spearman"
"""Primary metric of a task that is not described here."""


def task_named(name: str) -> Task:
    """The task of that name; a ConfigError if there is none."""
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}{suggest(name, TASKS)}; there are {', '.join(TASKS)}")
    return TASKS[name]


def primary_metrics(task: str, protocol: str) -> tuple[str, ...]:
    """Primary metrics of a task's protocol, the preferred one first."""
    if task not in TASKS:
        return (USUAL,)
    return TASKS[task].primary.get(protocol, tuple(TASKS[task].metrics)[:1])


def metric_range(task: str, metric: str) -> float:
    """Distance from a metric's lowest value to its highest; 1 where it is not described here."""
    described = TASKS[task].metrics.get(metric) if task in TASKS else None
    return described.range if described else 1.0


def guard_of(task: str, metric: str) -> str:
    """The metric that must not be lost for another; nothing where there is none."""
    return TASKS[task].guarded.get(metric, "") if task in TASKS else ""


def interval_method(task: str, protocol: str) -> str:
    """Where the 95% intervals of a task's protocol come from; nothing if it is not described here."""
    return TASKS[task].intervals.get(protocol, "") if task in TASKS else ""


def has_chance_of_zero(task: str, metric: str) -> bool:
    """Whether a score of 0 is what chance gives; True where the metric is not described here."""
    described = TASKS[task].metrics.get(metric) if task in TASKS else None
    return described is None or described.zero_is_chance


def units_of(task: str) -> str:
    """What a task needs more of for narrower intervals, in the plural."""
    return TASKS[task].units if task in TASKS else "cells"
