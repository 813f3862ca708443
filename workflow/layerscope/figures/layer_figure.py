"""Figures 1 and 2: the score of every layer of every model, with intervals, controls and baselines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from layerscope.figures.curves import Choices, layer_choices, select
from layerscope.figures.drawing import Drawing, Panel, arrange
from layerscope.figures.layer_panels import block_numbers, draw_panel, score_limits, styles
from layerscope.figures.layer_words import (
    caption_of,
    curve_entry,
    legend_entries,
    missing_notes,
    subtitle_of,
    title_of,
)
from layerscope.figures.levels import ceiling_intervals
from layerscope.figures.models import read_models
from layerscope.figures.representations import (
    compared_representations,
    representation_caption,
    representation_figure,
    representation_title,
)
from layerscope.figures.sheet import Words, sheet, width_of
from layerscope.figures.style import CurveStyle, look, save
from layerscope.figures.wording import DEPTH_LABEL, condition_order, condition_title
from layerscope.tables import read_scores

PANEL_TITLE_SIZE = 9.0


def draw_scores(scores_path: str | Path, outputs: Sequence[str | Path], **options: Any) -> None:
    """Draw what :func:`scores_figure` makes of the same options, and write it to every output."""
    figure, title, caption = scores_figure(scores_path, **options)
    with look():
        save(figure, outputs, title=title, caption=caption, table=scores_path)


def scores_figure(
    scores_path: str | Path,
    task: str,
    protocol: str,
    settings: Mapping[str, Any],
    layers_path: str | Path | None = None,
    ceilings_path: str | Path | None = None,
    representations_path: str | Path | None = None,
) -> tuple[Figure, str, str]:
    """The scores of one task and protocol against depth: the figure, its title and its caption.

    Where no model has layers, the representations are drawn one below the other instead. The tables are those
    of the scores, the layer choice, the noise ceilings and the compared representations; ``settings`` are as
    the report's (``models``, ``conditions``, ``order``, ``title``).
    """
    models = read_models(settings)
    choices = layer_choices(layers_path, task=task, protocol=protocol) if layers_path else Choices()
    which = {"task": task, "protocol": protocol, "source": str(scores_path)}
    table = representations_path
    compared = compared_representations(table, task, protocol) if table else None
    metrics = {} if compared is None else dict(zip(compared["condition"], compared["metric"], strict=True))
    rows = select(read_scores(scores_path), models, metrics={**metrics, **choices.metrics}, **which)
    models = {name: model for name, model in models.items() if (rows["model"] == name).any()}
    layered = any(model.kind == "foundation" for model in models.values())
    if layered:  # the curves of controls of a single embedding would have no layers
        alone = {model.name for model in models.values() if model.kind == "baseline"}
        models = {name: model for name, model in models.items() if model.of not in alone}
        rows = rows[rows["model"].isin(list(models))]
    drawing = Drawing(
        task=task,
        protocol=protocol,
        panels=arrange(condition_order(settings, rows["condition"]), models),
        rows=rows,
        models=models,
        metrics=dict(rows.loc[rows["metric"] != "", ["condition", "metric"]].to_numpy()),
        chosen=choices.chosen,
        ceilings=ceiling_intervals(ceilings_path) if ceilings_path and rows["ceiling"].notna().any() else {},
        settings=settings,
    )
    with look():
        if layered:
            return _figure(drawing), title_of(drawing), caption_of(drawing)
        figure = representation_figure(drawing, compared)
        return figure, representation_title(drawing), representation_caption(drawing, compared is not None)


def _figure(drawing: Drawing) -> Figure:
    panels = drawing.panels
    n_rows, n_columns = len(panels), max(len(row) for row in panels)
    style = styles(panels)
    legend = legend_entries(drawing, style)
    words = Words(title_of(drawing), subtitle_of(drawing), missing_notes(drawing), legend)
    size = (6.6, 3.0) if n_rows * n_columns == 1 else (4.2, 2.3) if n_columns == 2 else (3.1, 2.1)
    header = 0.26 + 0.16 * has_second_line(drawing) + 0.2 * has_row_titles(drawing)
    figure, grid = sheet(n_rows, n_columns, size, words, header=header)
    limits = score_limits(drawing)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            if column >= len(panels[row]):
                axes.set_axis_off()
                continue
            axes.set_ylim(*limits)
            draw_panel(axes, panels[row][column], drawing, style)
            title_panel(axes, panels[row][column], drawing, style)
            if row == n_rows - 1 or column >= len(panels[row + 1]):
                axes.set_xlabel(DEPTH_LABEL, x=0.0, ha="left")
            if column == 0:
                axes.set_ylabel("\n".join(textwrap.wrap(drawing.label(), 26)))
    return figure


def title_panel(axes: Any, panel: Panel, drawing: Drawing, style: Mapping[str, CurveStyle]) -> None:
    """Title a panel; where models are divided among panels, name the panel's own."""
    models = drawing.models
    title = condition_title(drawing.settings, panel.condition)
    if len({drawing.label(name) for name in drawing.conditions}) > 1:
        title = f"{title}: {drawing.label(panel.condition)}"
    if drawing.split:
        name = models[panel.models[0]].title if len(panel.models) == 1 else models[panel.models[0]].family
        if not has_row_titles(drawing):
            title = name
        elif panel.condition == drawing.conditions[0]:
            above = 32 if has_second_line(drawing) else 21
            bold = {"fontweight": "bold", "fontsize": PANEL_TITLE_SIZE + 0.5, "va": "baseline"}
            axes.annotate(name, (0, 1), (0, above), "axes fraction", "offset points", **bold)
        if len(panel.models) > 1:
            entries = [curve_entry(models[model].title, style[model]) for model in panel.models]
            near: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.03, 0.96), "fontsize": 6.5}
            axes.legend(handles=entries, ncols=len(entries), columnspacing=1.0, handletextpad=0.4, **near)
    width = axes.figure.get_figwidth() * axes.get_position().width
    fitting = PANEL_TITLE_SIZE * width / (1.1 * width_of(title, PANEL_TITLE_SIZE))
    size = min(PANEL_TITLE_SIZE, max(6.0, fitting))
    weight = "normal" if has_row_titles(drawing) else "bold"
    axes.set_title(title, fontsize=size, fontweight=weight, y=1, pad=17 if has_second_line(drawing) else 6)


def has_row_titles(drawing: Drawing) -> bool:
    """Whether rows of panels are those of models, named above the row."""
    return drawing.split and len(drawing.conditions) > 1


def has_second_line(drawing: Drawing) -> bool:
    """Whether a panel has layer numbers or the names of its models between its title and its axes."""
    return drawing.split or any(
        len(block_numbers(panel, drawing.models)) == 1 for row in drawing.panels for panel in row
    )
