"""The figure of a study without layers: every representation's score, and which are as good as the best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.figures import wording
from layerscope.figures.drawing import Drawing
from layerscope.figures.layer_panels import score_limits
from layerscope.figures.layer_words import common_remarks, missing_notes, subtitle_of, title_of
from layerscope.figures.levels import level_entries, levels_of
from layerscope.figures.sheet import Words, sheet, width_of
from layerscope.figures.style import GREY, MAY_BE_BEST, Style, model_entry
from layerscope.statistics.representation_verdict import ANSWER
from layerscope.statistics.verdict import number
from layerscope.tables import OFFICIAL, read_table
from layerscope.tasks.catalogue import interval_method

TEXT = ("condition", "task", "protocol", "metric", "guard_metric", "model", "runner_up", "status", "reason")
NUMBERS = ("simultaneous_low", "simultaneous_high", "in_confidence_set", "p_best")
ROW_INCHES, LABEL_SIZE = 0.26, 7.5


def read_representations(path: str | Path) -> pd.DataFrame:
    """Read the table of the compared representations; a DataError if a column is missing."""
    return read_table(path, text=(*TEXT, *ANSWER), columns=(*TEXT, *ANSWER, *NUMBERS))


def compared_representations(path: str | Path, task: str, protocol: str) -> pd.DataFrame:
    """The rows of that table that are of one task and protocol."""
    table = read_representations(path)
    return table[(table["task"] == task) & (table["protocol"] == protocol)]


def representation_figure(drawing: Drawing, compared: pd.DataFrame | None) -> Figure:
    """One panel a condition, one row a representation, the highest on top, its controls below it."""
    rows = _rows(drawing, compared)
    titles = {name: drawing.models[name].title for name in rows["model"]}
    left = 0.25 + max((width_of(title, LABEL_SIZE) for title in titles.values()), default=0.5)
    n_rows = [max(1, (rows["condition"] == name).sum()) for name in drawing.conditions]
    legend = _legend(drawing, rows)
    words = Words(representation_title(drawing), subtitle_of(drawing), missing_notes(drawing), legend)
    panels = [(1, 0.26)] * len(drawing.conditions)
    heights = [ROW_INCHES * (number + 0.4) for number in n_rows]
    figure, grid = sheet(panels, heights, words, left=left, right=0.5)
    low, high = score_limits(drawing)
    bounds = rows[["low", "high"]].to_numpy(dtype=np.float64)
    bounds = bounds[np.isfinite(bounds)]
    limits = min([low, *bounds]), max([high, *bounds])
    for axes, condition in zip((line[0] for line in grid), drawing.conditions, strict=True):
        axes.set_xlim(*limits)
        _draw(axes, rows[rows["condition"] == condition], titles, drawing.styles)
        own = drawing.rows[(drawing.rows["condition"] == condition) & (drawing.rows["status"] == "ok")]
        for style, score in levels_of(own, []):
            axes.axvline(score, **style.line, zorder=1)
        title = wording.condition_title(drawing.settings, condition)
        several = len({drawing.label(name) for name in drawing.conditions}) > 1
        axes.set_title(f"{title}: {drawing.label(condition)}" if several else title)
    grid[-1][0].set_xlabel(drawing.label(), x=0.0, ha="left")
    return figure


def representation_title(drawing: Drawing) -> str:
    """The title of that figure."""
    return title_of(drawing).replace("each layer", "each representation")


def representation_caption(drawing: Drawing, compared: bool) -> str:
    """The caption of that figure, with or without what comparing them has shown."""
    metrics = sorted({drawing.metric(name) for name in drawing.conditions})
    labels = [wording.metric_label(drawing.task, metric) for metric in metrics]
    method = interval_method(drawing.task, drawing.protocol)
    controls = any(model.kind == "control" for model in drawing.models.values())
    sentences = [
        f"{', or '.join(labels)} of each representation, protocol {drawing.protocol}, highest on top.",
        *(wording.metric_meaning(drawing.task, metric) for metric in metrics),
        f"Thick lines: 95% interval{f' ({method})' if method else ''}.",
        "Thin lines: 95% interval of all representations at once (max-T). Grey squares: those that may be "
        "the best, given the noise (95% confidence set). A filled sign is the one to use, shown to be better."
        if compared
        else "",
        "Broken thin lines: controls, which are not compared." if controls else "",
        *common_remarks(drawing),
        wording.simulated_note(drawing.settings, drawing.conditions).strip(),
    ]
    return " ".join(filter(None, sentences))


def _rows(drawing: Drawing, compared: pd.DataFrame | None) -> pd.DataFrame:
    """Scores of the representations and their controls, in the order of drawing."""
    scores = drawing.rows[(drawing.rows["status"] == "ok") & (drawing.rows["layer"] == OFFICIAL)]
    scores = scores[["condition", "model", "estimate", "ci_low", "ci_high"]]
    if compared is None:
        rows = scores.assign(low=np.nan, high=np.nan, alike=False, tested=False, use=False)
    else:
        told = compared[["condition", "model"]].assign(
            low=compared["simultaneous_low"],
            high=compared["simultaneous_high"],
            alike=compared["in_confidence_set"].astype(bool),
            tested=compared["p_best"].notna(),
            use=(compared["verdict"] == "use_layer") & (compared["use"] == compared["model"]),
        )
        rows = scores.merge(told, how="left", on=["condition", "model"])
    of = {name: model.of or name for name, model in drawing.models.items()}
    rows = rows.assign(control=[of[name] != name for name in rows["model"]], of=rows["model"].map(of))
    of_model = rows.loc[~rows["control"]].set_index(["condition", "model"])["estimate"]
    keys = pd.MultiIndex.from_frame(rows[["condition", "of"]])
    rows["of_estimate"] = of_model.reindex(keys).to_numpy()
    order = ["of_estimate", "control", "estimate"]
    return rows.sort_values(order, ascending=[False, True, False], kind="stable", na_position="last")


def _draw(axes: Any, rows: pd.DataFrame, titles: Mapping[str, str], looks: Mapping[str, Style]) -> None:
    for place, row in enumerate(rows.to_dict("records")):
        style = looks[row["model"]]
        line: dict[str, Any] = {"color": style.colour, "linestyle": style.dashes, "zorder": 3}
        if row["alike"] is True:
            axes.plot(row["estimate"], place, **MAY_BE_BEST, zorder=1)
        axes.plot([row["low"], row["high"]], [place, place], linewidth=0.7, **line)
        axes.plot(
            [row["ci_low"], row["ci_high"]], [place, place], linewidth=0.9 if row["control"] else 2.2, **line
        )
        face = style.colour if row["use"] is True else "white"
        axes.plot(
            row["estimate"], place, **style.line | {"markersize": 4.5, "zorder": 4, "markerfacecolor": face}
        )
        axes.text(1.01, place, number(row["estimate"]), transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(0, color="#999999", linewidth=0.6, zorder=0.5)
    axes.set_yticks(range(len(rows)), [titles[name] for name in rows["model"]], fontsize=LABEL_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)


def _legend(drawing: Drawing, rows: pd.DataFrame) -> list[Line2D]:
    entries = [Line2D([], [], color=GREY, linewidth=2.2, label="95% interval")]
    if rows["tested"].eq(True).any():
        entries += [
            Line2D([], [], color=GREY, linewidth=0.7, label="95% interval, all at once"),
            Line2D([], [], label="may be the best", **MAY_BE_BEST),
        ]
    kinds = {model.control: name for name, model in drawing.models.items() if model.kind == "control"}
    entries += [
        model_entry(f"control: {wording.control_label(kind)}", drawing.styles[name])
        for kind, name in sorted(kinds.items())
    ]
    return [*entries, *level_entries(drawing.rows)]
