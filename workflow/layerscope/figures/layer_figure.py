"""Figures 1 and 2: the score of every layer of every model, with intervals, controls and baselines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from layerscope.figures.curves import confidence_sets, select, without_score
from layerscope.figures.layer_panels import (
    Panel,
    arrange,
    band_patch,
    block_numbers,
    draw_panel,
    score_limits,
    styles,
)
from layerscope.figures.models import Model, read_models
from layerscope.figures.sheet import Words, sheet, width_of
from layerscope.figures.style import CURVES, GREY, CurveStyle, look, save
from layerscope.figures.wording import (
    SIMULATED,
    TASK_MEANING,
    condition_order,
    condition_title,
    control_label,
    is_simulated,
    layer_ranges,
    metric_label,
    task_title,
)
from layerscope.tables import read_scores

MOST_NOTES = 5
PANEL_TITLE_SIZE = 9.0
DEPTH_LABEL = "Depth (0 = first block, 1 = last block)"


def draw_scores(
    scores_path: str | Path,
    outputs: Sequence[str | Path],
    *,
    task: str,
    protocol: str,
    settings: Mapping[str, Any],
    layers_path: str | Path | None = None,
) -> None:
    """Draw the scores of one task and protocol against depth and write the figure to every output.

    Parameters
    ----------
    scores_path
        Table of :class:`layerscope.tables.Score` rows.
    outputs
        Files to write; the suffixes (``.svg``, ``.png``, ``.pdf``) choose the formats.
    task, protocol
        Which rows.
    settings
        ``models`` (see :func:`layerscope.figures.models.read_models`); optional ``metric`` (``"spearman"``),
        ``title`` of the study, ``conditions`` (``{name: {"title": ..., "simulated": true | false}}``),
        ``simulated`` (true, false, or ``{condition: true | false}``) and ``order`` of the conditions.
    layers_path
        Table of the layer choice (``layers.tsv``); with it, layers that cannot be told from the best have
        filled signs and the others open ones.

    Raises
    ------
    ConfigError
        If the settings describe no models or a control of an unknown one.
    DataError
        If the table has no such rows, or rows of a model that the settings do not describe.
    """
    models = read_models(settings)
    metric = str(settings.get("metric") or "spearman")
    rows = select(
        read_scores(scores_path), models, task=task, protocol=protocol, metric=metric, source=str(scores_path)
    )
    present = set(rows["model"])
    models = {name: model for name, model in models.items() if name in present}
    panels = arrange(condition_order(settings, rows["condition"]), models)
    alike = confidence_sets(layers_path, task=task, protocol=protocol) if layers_path else {}
    title = _title(task, rows, settings)
    with look():
        figure = _figure(
            panels,
            rows,
            models,
            settings,
            alike,
            title=title,
            label=metric_label(task, metric),
            protocol=protocol,
        )
        caption = describe(
            panels, rows, models, settings, task=task, protocol=protocol, metric=metric, with_sets=bool(alike)
        )
        save(figure, outputs, title=title, caption=caption)


def _title(task: str, rows: pd.DataFrame, settings: Mapping[str, Any]) -> str:
    simulated = [is_simulated(settings, name) for name in set(rows["condition"])]
    which = SIMULATED if all(simulated) else f"some on {SIMULATED}" if any(simulated) else ""
    return f"{task_title(task)} ({which})" if which else task_title(task)


def _figure(
    panels: list[list[Panel]],
    rows: pd.DataFrame,
    models: Mapping[str, Model],
    settings: Mapping[str, Any],
    alike: Mapping[tuple[str, str], frozenset[str]],
    *,
    title: str,
    label: str,
    protocol: str,
) -> Figure:
    n_rows, n_columns = len(panels), max(len(row) for row in panels)
    style = styles(panels)
    words = Words(
        title=title,
        subtitle=_subtitle(settings, protocol),
        notes=missing_notes(rows, models),
        legend=legend_entries(panels, rows, models, style, with_sets=bool(alike)),
    )
    size = (6.6, 3.0) if n_rows * n_columns == 1 else (4.2, 2.3) if n_columns == 2 else (3.1, 2.1)
    figure, grid = sheet(
        n_rows, n_columns, size, words, header=0.42 if has_second_line(panels, models) else 0.26
    )
    limits = score_limits(rows, models)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            if column >= len(panels[row]):
                axes.set_axis_off()
                continue
            panel = panels[row][column]
            axes.set_ylim(*limits)
            draw_panel(axes, panel, rows, models, style, alike)
            head_panel(axes, panel, panels, models, settings, style)
            if row == n_rows - 1 or column >= len(panels[row + 1]):
                axes.set_xlabel(DEPTH_LABEL, x=0.0, ha="left")
            if column == 0:
                axes.set_ylabel("\n".join(textwrap.wrap(label, 26)))
    return figure


def _subtitle(settings: Mapping[str, Any], protocol: str) -> str:
    study = str(settings.get("title") or "")
    return f"{study}; protocol {protocol}" if study else f"Protocol {protocol}"


def is_split(panels: list[list[Panel]]) -> bool:
    """Whether the models are divided among panels, by family."""
    return len({panel.models for row in panels for panel in row}) > 1


def head_panel(
    axes: Any,
    panel: Panel,
    panels: list[list[Panel]],
    models: Mapping[str, Model],
    settings: Mapping[str, Any],
    style: Mapping[str, CurveStyle],
) -> None:
    """Title a panel; where models are divided among panels, name the panel's own."""
    title = condition_title(settings, panel.condition)
    if is_split(panels):
        name = models[panel.models[0]].title if len(panel.models) == 1 else models[panel.models[0]].family
        one_condition = len({other.condition for row in panels for other in row}) == 1
        title = name if one_condition else f"{name}: {title}"
        if len(panel.models) > 1:
            axes.legend(
                handles=[curve_entry(models[model].title, style[model]) for model in panel.models],
                loc="lower left",
                bbox_to_anchor=(-0.03, 0.96),
                ncols=len(panel.models),
                fontsize=6.5,
                columnspacing=1.0,
                handletextpad=0.4,
            )
    width = axes.figure.get_figwidth() * axes.get_position().width
    size = min(
        PANEL_TITLE_SIZE, max(6.0, PANEL_TITLE_SIZE * width / (1.1 * width_of(title, PANEL_TITLE_SIZE)))
    )
    axes.set_title(title, fontsize=size, y=1, pad=17 if has_second_line(panels, models) else 6)


def has_second_line(panels: list[list[Panel]], models: Mapping[str, Model]) -> bool:
    """Whether a panel has layer numbers or the names of its models between its title and its axes."""
    return is_split(panels) or any(len(block_numbers(panel, models)) == 1 for row in panels for panel in row)


def legend_entries(
    panels: list[list[Panel]],
    rows: pd.DataFrame,
    models: Mapping[str, Model],
    style: Mapping[str, CurveStyle],
    *,
    with_sets: bool,
) -> list[Line2D | Patch]:
    """One entry for each model and control, and one for each sign that is not obvious."""
    entries: list[Line2D | Patch] = []
    if is_split(panels):
        kinds = sorted({model.control for model in models.values() if model.kind == "control"})
        entries += [
            band_patch(kind, CURVES[0], f"{control_label(kind)} (range over seeds)") for kind in kinds
        ]
    else:
        for name, own in style.items():
            entries.append(curve_entry(models[name].title, own))
            for control, n_seeds in control_seeds(models, name).items():
                seeds = f"range of {n_seeds} seeds" if n_seeds > 1 else "one seed, 95% interval"
                entries.append(band_patch(control, own, f"{name}, {control_label(control)} ({seeds})"))
    sign: dict[str, Any] = {"linestyle": "", "color": GREY}
    if style:
        entries.append(Line2D([], [], marker="*", markersize=8, label="official embedding", **sign))
        entries.append(
            Line2D([], [], marker="o", markersize=8, markerfacecolor="none", label="best layer", **sign)
        )
    if with_sets:
        label = "open sign: worse than the best layer"
        entries.append(Line2D([], [], marker="s", markersize=4, markerfacecolor="white", label=label, **sign))
    if any(model.kind == "baseline" for model in models.values()):
        entries.append(Line2D([], [], color=GREY, linestyle=(0, (7, 2)), linewidth=0.9, label="baseline"))
    if rows["ceiling"].notna().any():
        entries.append(
            Line2D([], [], color=GREY, linestyle=(0, (1, 3)), linewidth=1.1, label="noise ceiling")
        )
    if not without_score(rows).empty:
        entries.append(Line2D([], [], marker="x", markersize=4, label="no score", **sign))
    return entries


def curve_entry(title: str, style: CurveStyle) -> Line2D:
    """Legend entry of a model's curve."""
    return Line2D(
        [], [], color=style.colour, linestyle=style.dashes, marker=style.marker, markersize=4, label=title
    )


def control_seeds(models: Mapping[str, Model], of: str) -> dict[str, int]:
    """Number of seeds of each kind of control of a foundation model."""
    kinds = [model.control for model in models.values() if model.kind == "control" and model.of == of]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def missing_notes(rows: pd.DataFrame, models: Mapping[str, Model]) -> list[str]:
    """Say which scores are missing and why, in at most a few lines."""
    missing = without_score(rows)
    notes = []
    for (condition, model, reason), group in missing.groupby(["condition", "model", "reason"], sort=True):
        layers = "" if models[model].kind == "baseline" else f", {layer_ranges(group['layer'])}"
        notes.append(f"No score: {condition}, {models[model].title}{layers}: {reason or 'no reason given'}")
    if len(notes) > MOST_NOTES:
        notes = [
            *notes[: MOST_NOTES - 1],
            f"... and {len(notes) - MOST_NOTES + 1} more; all reasons stand in the table of scores",
        ]
    return notes


def describe(
    panels: list[list[Panel]],
    rows: pd.DataFrame,
    models: Mapping[str, Model],
    settings: Mapping[str, Any],
    *,
    task: str,
    protocol: str,
    metric: str,
    with_sets: bool,
) -> str:
    """Write the caption: what is drawn, from which rows, and which cells are simulated."""
    conditions = list(dict.fromkeys(panel.condition for row in panels for panel in row))
    parts = [
        f"{metric_label(task, metric)} against the depth of the layer, protocol {protocol}.",
        TASK_MEANING.get(task, ""),
        "Curves: outputs of the blocks; shaded: 95% bootstrap interval; ring and number: layer with the "
        "highest score; star: the official embedding; sign at the left: what enters the first block.",
    ]
    if with_sets:
        parts.append("Filled signs: layers that cannot be told from the best (95% confidence set).")
    if any(model.kind == "control" for model in models.values()):
        parts.append(
            "Hatched: controls of the same architecture, from the lowest seed to the highest; of a single "
            "seed, its 95% interval."
        )
    if any(model.kind == "baseline" for model in models.values()):
        parts.append("Level lines: baselines, with their 95% interval at the right end.")
    if rows["ceiling"].notna().any():
        parts.append("Widely dotted: noise ceiling.")
    n_missing = len(without_score(rows))
    if n_missing:
        parts.append(f"{n_missing} scores could not be had; they are gaps marked by a cross, not zeros.")
    simulated = [name for name in conditions if is_simulated(settings, name)]
    if simulated:
        parts.append(f"Simulated cells, not an experiment: {', '.join(simulated)}.")
    return " ".join(part for part in parts if part)
