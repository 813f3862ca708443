"""The words of the main figures: title, legend, notes and caption, for what is drawn and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures.curves import without_score
from layerscope.figures.layer_panels import CHANCE_DASHES, UNTRAINED, Panel, control_entry
from layerscope.figures.models import Model
from layerscope.figures.style import CURVES, GREY, CurveStyle
from layerscope.figures.wording import (
    SIMULATED,
    control_label,
    is_simulated,
    layer_ranges,
    metric_label,
    metric_meaning,
    simulated_note,
    task_title,
)
from layerscope.tasks import primary_metrics

MOST_NOTES = 5


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn: panels in rows, the score rows, and what the settings and the layer choice say of them.

    Attributes
    ----------
    task, protocol
        Of all rows.
    panels
        Panels, in rows.
    rows
        Rows of one metric for each condition.
    models
        The models that have rows.
    metrics
        Metric of each condition.
    alike
        Layers that cannot be told from the best one, by condition and model, where that is known.
    settings
        The settings as given.
    """

    task: str
    protocol: str
    panels: Sequence[Sequence[Panel]]
    rows: pd.DataFrame
    models: Mapping[str, Model]
    metrics: Mapping[str, str]
    alike: Mapping[tuple[str, str], frozenset[str]]
    settings: Mapping[str, Any]

    @property
    def conditions(self) -> list[str]:
        """Conditions, in the order of their panels."""
        return list(dict.fromkeys(panel.condition for row in self.panels for panel in row))

    @property
    def split(self) -> bool:
        """Whether the models are divided among panels, by family."""
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


def title_of(drawing: Drawing) -> str:
    """Title of the figure; it says so where cells are simulated."""
    simulated = [is_simulated(drawing.settings, name) for name in drawing.conditions]
    which = SIMULATED if all(simulated) else f"some on {SIMULATED}" if any(simulated) else ""
    return f"{task_title(drawing.task)} ({which})" if which else task_title(drawing.task)


def subtitle_of(drawing: Drawing) -> str:
    """Name of the study and of the protocol."""
    study = str(drawing.settings.get("title") or "")
    return f"{study}; protocol {drawing.protocol}" if study else f"Protocol {drawing.protocol}"


def legend_entries(drawing: Drawing, style: Mapping[str, CurveStyle]) -> list[Line2D | Patch]:
    """One entry for each model and control, and one for each sign that is not obvious."""
    entries: list[Line2D | Patch] = []
    models = drawing.models
    if drawing.split:
        kinds = sorted({model.control for model in models.values() if model.kind == "control"})
        entries += [
            control_entry(kind, CURVES[0], f"{control_label(kind)} (range over seeds)") for kind in kinds
        ]
    else:
        for name, own in style.items():
            entries.append(curve_entry(models[name].title, own))
            for control, n_seeds in control_seeds(models, name).items():
                seeds = f"range of {n_seeds} seeds" if n_seeds > 1 else "one seed, 95% interval"
                entries.append(
                    control_entry(control, own, f"same network, {control_label(control)} ({seeds})")
                )
    if style:
        entries += [_sign("official embedding", "*", 8), _sign("best layer", "o", 8, "none")]
    if drawing.alike:
        entries.append(_sign("open sign: worse than the best layer", "s", 4, "white"))
    if drawing.has("baseline"):
        entries.append(Line2D([], [], color=GREY, linestyle=(0, (7, 2)), linewidth=0.9, label="baseline"))
    if drawing.rows["ceiling"].notna().any():
        entries.append(
            Line2D([], [], color=GREY, linestyle=(0, (1, 3)), linewidth=1.1, label="noise ceiling")
        )
    if drawing.rows["null_mean"].notna().any():
        entries.append(
            Line2D([], [], color="#333333", linestyle=CHANCE_DASHES, linewidth=0.8, label="labels shuffled")
        )
    if not without_score(drawing.rows).empty:
        entries.append(_sign("no score", "x", 4))
    return entries


def _sign(label: str, marker: str, size: float, face: str = GREY) -> Line2D:
    return Line2D(
        [], [], linestyle="", color=GREY, marker=marker, markersize=size, markerfacecolor=face, label=label
    )


def curve_entry(title: str, style: CurveStyle) -> Line2D:
    """Legend entry of a model's curve."""
    return Line2D(
        [], [], color=style.colour, linestyle=style.dashes, marker=style.marker, markersize=4, label=title
    )


def control_seeds(models: Mapping[str, Model], of: str) -> dict[str, int]:
    """Number of seeds of each kind of control of a foundation model."""
    kinds = [model.control for model in models.values() if model.kind == "control" and model.of == of]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def missing_notes(drawing: Drawing) -> list[str]:
    """Say which scores are missing and why, in at most a few lines."""
    missing = without_score(drawing.rows)
    notes = []
    where: dict[tuple[str, str, str], list[str]] = {}
    for (model, reason, condition), group in missing.groupby(["model", "reason", "condition"], sort=True):
        where.setdefault((model, layer_ranges(group["layer"]), reason), []).append(condition)
    for (model, layers, reason), conditions in where.items():
        about = drawing.models[model]
        named = about.title if about.kind == "baseline" else f"{about.title}, {layers}"
        places = ", ".join(name for name in drawing.conditions if name in conditions)
        notes.append(f"No score: {named} ({places}): {reason or 'no reason given'}")
    if len(notes) > MOST_NOTES:
        more = len(notes) - MOST_NOTES + 1
        notes[MOST_NOTES - 1 :] = [f"... and {more} more; all reasons stand in the table of scores"]
    return notes


def caption_of(drawing: Drawing) -> str:
    """Write the caption: what is drawn, from which rows, and which cells are simulated."""
    metrics = sorted({drawing.metric(name) for name in drawing.conditions})
    labels = ", or ".join(metric_label(drawing.task, metric) for metric in metrics)
    parts = [
        f"{labels}, against the depth of the layer, protocol {drawing.protocol}.",
        *(metric_meaning(drawing.task, metric) for metric in metrics),
        "Curves: outputs of the blocks; shaded: 95% bootstrap interval; ring and number: layer with the "
        "highest score; star: the official embedding; sign at the left: what enters the first block.",
    ]
    if drawing.alike:
        parts.append("Filled signs: layers that cannot be told from the best (95% confidence set).")
    controls = {model.control for model in drawing.models.values() if model.kind == "control"}
    if UNTRAINED in controls:
        parts.append(
            "Hatched: untrained networks of the same architecture, from the lowest seed to the highest; of a "
            "single seed, its 95% interval."
        )
    if controls - {UNTRAINED}:
        parts.append("Thin broken lines: other controls, likewise.")
    if drawing.has("baseline"):
        parts.append("Level lines: baselines, with their 95% interval at the right end.")
    if drawing.rows["ceiling"].notna().any():
        parts.append("Widely dotted: noise ceiling.")
    if drawing.rows["null_mean"].notna().any():
        parts.append("Dash-dotted level line: mean score with shuffled labels.")
    n_missing = len(without_score(drawing.rows))
    if n_missing:
        parts.append(f"{n_missing} scores could not be had; they are gaps marked by a cross, not zeros.")
    parts.append(simulated_note(drawing.settings, drawing.conditions).strip())
    return " ".join(part for part in parts if part)
