"""The words that figures and report print for tasks, protocols, metrics and layers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from layerscope.tasks.base import Metric
from layerscope.tasks.catalogue import TASKS

SIMULATED = "simulated cells"
DEPTH_LABEL = "Depth (0 = first block, 1 = last block)"

VERDICTS = {
    "use_layer": "one is better",
    "final_will_do": "final layer will do",
    "no_difference_shown": "undecided",
    "trade_off": "trade-off",
    "prefer_official": "official is better",
    "prefer_baseline": "baseline is better",
    "no_signal": "may be chance",
    "not_scored": "no score",
}
"""What is printed for a verdict."""
CONTROL_LABELS = {
    "untrained": "untrained weights",
    "gene_permuted": "gene identities permuted",
    "values_permuted": "values permuted among expressed genes",
    "thinned": "half of the molecules",
}


def task_title(task: str) -> str:
    """Headline of a task; a task without one gets its own name."""
    return TASKS[task].title if task in TASKS else f"Score of each layer: {plain(task)}"


def metric_label(task: str, metric: str) -> str:
    """Axis label of a metric of a task."""
    return _described(task, metric).label


def metric_meaning(task: str, metric: str) -> str:
    """What a metric of a task says, in a sentence; nothing if it is not one of the primary ones."""
    return _described(task, metric).meaning


def _described(task: str, metric: str) -> Metric:
    return (TASKS[task].metrics if task in TASKS else {}).get(metric, Metric(plain(metric), ""))


def control_label(control: str) -> str:
    """What was done to the weights of a control, in words."""
    return CONTROL_LABELS.get(control, plain(control))


def plain(name: str) -> str:
    """Turn a column or key into words."""
    return name.replace("_", " ")


def layer_ranges(layers: Iterable[str]) -> str:
    """Name several layers briefly: ``layers 1-4, 7, official``; ``all layers`` where the name is empty."""
    names = sorted({name or "all layers" for name in layers})
    numbers = [int(name) for name in names if re.fullmatch(r"\d+", name)]
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    parts += [name for name in names if not re.fullmatch(r"\d+", name)]
    head = "" if not numbers else "layer " if len(numbers) == 1 else "layers "
    return head + ", ".join(parts)


def condition_title(settings: Mapping[str, Any], condition: str) -> str:
    """Title of a condition, with the word "simulated" where its cells are."""
    title = str(_entry(settings, condition).get("title") or condition)
    if is_simulated(settings, condition) and "simulated" not in title.lower():
        return f"{title} ({SIMULATED})"
    return title


def is_simulated(settings: Mapping[str, Any], condition: str) -> bool:
    """Whether the settings say that the cells of a condition are simulated."""
    return bool(_entry(settings, condition).get("simulated"))


def _entry(settings: Mapping[str, Any], condition: str) -> Mapping[str, Any]:
    return settings.get("conditions", {}).get(condition) or {}


def simulated_note(settings: Mapping[str, Any], conditions: Iterable[str]) -> str:
    """What a caption says where cells are simulated; nothing where none are."""
    simulated = [name for name in conditions if is_simulated(settings, name)]
    return f" Simulated cells, not an experiment: {', '.join(simulated)}." if simulated else ""


def condition_order(settings: Mapping[str, Any], present: Iterable[str]) -> list[str]:
    """Order conditions as ``order`` of the settings says, then by name with numbers by value (8hr, 48hr)."""
    wanted = [str(name) for name in settings.get("order") or ()]
    names = set(present)
    rest = sorted(names - set(wanted), key=natural)
    return [name for name in wanted if name in names] + rest


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``Stim8hr`` comes before ``Stim48hr``."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]
