"""All tasks by name. Settings, statistics, figures, report and rules look here and know no task by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from layerscope.errors import ConfigError
from layerscope.settings import suggest
from layerscope.tasks.base import Task
from layerscope.tasks.label.task import TASK as LABEL
from layerscope.tasks.perturbation.task import TASK as PERTURBATION
from layerscope.tasks.trajectory.task import TASK as TRAJECTORY

TASKS: Mapping[str, Task] = {task.name: task for task in (TRAJECTORY, PERTURBATION, LABEL)}
if TYPE_CHECKING:
    TaskName = str
else:
    TaskName = Literal[tuple(TASKS)]

USUAL = "spearman"
"""Primary metric of a task that is not described here."""


def task_named(name: str) -> Task:
    """The task of that name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}{suggest(name, TASKS)}; there are {', '.join(TASKS)}")
    return TASKS[name]


def primary_metrics(task: str, protocol: str) -> tuple[str, ...]:
    """Primary metrics of a task's protocol, the preferred one first."""
    if task not in TASKS:
        return (USUAL,)
    return TASKS[task].primary.get(protocol, tuple(TASKS[task].metrics)[:1])


def interval_method(task: str, protocol: str) -> str:
    """Where the 95% intervals of a task's protocol come from; nothing if it is not described here."""
    return TASKS[task].intervals.get(protocol, "") if task in TASKS else ""
