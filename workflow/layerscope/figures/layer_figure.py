"""Figures 1 and 2: the score of every layer of every model, with intervals, controls and baselines."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from layerscope.figures.curves import Choices, layer_choices, select
from layerscope.figures.drawing import Drawing, Panel, arrange
from layerscope.figures.layer_panels import block_numbers, draw_panel, score_limits
from layerscope.figures.layer_words import caption_of, legend_entries, missing_notes, subtitle_of, title_of
from layerscope.figures.levels import ceiling_intervals
from layerscope.figures.models import read_models
from layerscope.figures.representations import (
    compared_representations,
    representation_caption,
    representation_figure,
    representation_title,
)
from layerscope.figures.sheet import (
    LEFT,
    PANEL_TITLE_SIZE,
    WIDTH,
    Words,
    head_row,
    sheet,
    title_height,
    title_panel,
    wrapped,
)
from layerscope.figures.style import look, save, styles
from layerscope.figures.wording import DEPTH_LABEL, condition_order, condition_title
from layerscope.tables import read_scores


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
    looks = styles(models)
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
    run = set(zip(rows["condition"], rows["model"], strict=True))
    drawing = Drawing(
        task=task,
        protocol=protocol,
        panels=arrange(condition_order(settings, rows["condition"]), models, run),
        rows=rows,
        models=models,
        styles=looks,
        metrics=dict(rows.loc[rows["metric"] != "", ["condition", "metric"]].to_numpy()),
        choices=choices,
        ceilings=ceiling_intervals(ceilings_path) if ceilings_path and rows["ceiling"].notna().any() else {},
        settings=settings,
    )
    with look():
        if layered:
            return _figure(drawing), title_of(drawing), caption_of(drawing)
        figure = representation_figure(drawing, compared)
        return figure, representation_title(drawing), representation_caption(drawing, compared is not None)


def _figure(drawing: Drawing) -> Figure:
    panels, models = drawing.panels, drawing.models
    n_columns = max(map(len, panels))
    texts = {panel: _title(panel, drawing) for row in panels for panel in row}
    header = title_height(texts.values(), n_columns)
    header += 0.15 * any(len(block_numbers(panel, models)) == 1 for panel in texts)
    headings = [_heading(place, drawing) for place in range(len(panels))]
    room = [0.07 * bool(lines) + 0.14 * len(lines) for lines in headings]
    rows = [(len(row), header + more) for row, more in zip(panels, room, strict=True)]
    words = Words(title_of(drawing), subtitle_of(drawing), missing_notes(drawing), legend_entries(drawing))
    figure, grid = sheet(rows, 1.6 if n_columns > 1 else 2.4, words)
    limits = score_limits(drawing)
    for row, line, heading in zip(panels, grid, headings, strict=True):
        for panel, axes in zip(row, line, strict=True):
            axes.set_ylim(*limits)
            draw_panel(axes, panel, drawing)
            title_panel(axes, texts[panel], 0.2 if len(block_numbers(panel, models)) == 1 else 0.06)
            axes.tick_params(labelleft=panel is row[0])
        head_row(line[0], "\n".join(heading), header)
        line[0].set_ylabel("\n".join(textwrap.wrap(drawing.label(), 26)))
    grid[-1][0].set_xlabel(DEPTH_LABEL, x=0.0, ha="left")
    return figure


def _title(panel: Panel, drawing: Drawing) -> str:
    """Title of a panel: its condition, with the metric where they differ; in mixed rows its models."""
    title = condition_title(drawing.settings, panel.condition)
    if drawing.mixed:
        models = ", ".join(drawing.models[name].title for name in panel.models)
        title = f"{models}: {title}" if len(drawing.conditions) > 1 else models
    several = len({drawing.label(name) for name in drawing.conditions}) > 1
    return f"{title}: {drawing.label(panel.condition)}" if several else title


def _heading(row: int, drawing: Drawing) -> list[str]:
    """The models of a row of panels, where others are in the row above, in lines."""
    models = drawing.panels[row][0].models
    above = drawing.panels[row - 1][0].models if row else ()
    if not drawing.split or drawing.mixed or models == above:
        return []
    return wrapped("; ".join(drawing.models[name].title for name in models), WIDTH - LEFT, PANEL_TITLE_SIZE)
