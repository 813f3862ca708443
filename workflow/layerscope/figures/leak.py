"""What cells shared by layer and reference do to a perturbation score: the leak, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from layerscope.errors import DataError
from layerscope.figures.sheet import Words, sheet, wrapped
from layerscope.figures.style import CURVES, GREY, look, save
from layerscope.figures.wording import condition_order, condition_title
from layerscope.tables import OFFICIAL, read_scores

TITLE = "Shared cells look like agreement"
CAPTION = (
    "Layer and reference from the same cells (grey) and from disjoint halves of the cells (blue), with the "
    "true labels (filled signs) and with the cells' labels shuffled within lanes (open signs, with the 95% "
    "interval of their mean). Without labels there is nothing to find: an open sign away from zero is a leak."
)
PANEL = (2.3, 1.7)
SIZE, LINE = 7.0, 0.13


@dataclass(frozen=True)
class Series:
    """One of the four scores: the metric of protocol strict that holds it, and how it looks."""

    metric: str
    label: str
    colour: str
    marker: str
    open: bool


SERIES = (
    Series("spearman_same_cells", "same cells, true labels", GREY, "s", False),
    Series("spearman_same_cells_shuffled_labels", "same cells, shuffled labels", GREY, "s", True),
    Series("spearman", "disjoint cells, true labels", CURVES[0].colour, "o", False),
    Series("spearman_shuffled_labels", "disjoint cells, shuffled labels", CURVES[0].colour, "o", True),
)


def draw_leak(
    path: str | Path,
    outputs: Sequence[str | Path],
    *,
    settings: Mapping[str, Any],
    models: Sequence[str] = (),
) -> None:
    """Draw the scores of protocol ``strict`` beside those of shared cells; one panel a model and condition.

    Parameters
    ----------
    path
        Table of scores.
    outputs
        Files to write; the suffixes (``.svg``, ``.png``, ``.pdf``) choose the formats.
    settings
        Titles: ``title``, ``conditions``, ``models``, ``order``; all optional.
    models
        Models to draw; if none is named, all of the table that have numbered layers.

    Raises
    ------
    DataError
        If the table has no such scores.
    """
    rows = read_scores(path)
    chosen = (rows["task"] == "perturbation") & (rows["protocol"] == "strict") & (rows["status"] == "ok")
    rows = rows[chosen & rows["metric"].isin([one.metric for one in SERIES]) & (rows["layer"] != OFFICIAL)]
    names = list(models) or sorted(set(rows["model"]))
    rows = rows[rows["model"].isin(names)]
    if rows.empty:
        raise DataError(
            f"{path}: no layer with perturbation scores of protocol strict; add it to study: protocols"
        )
    names = [name for name in names if name in set(rows["model"])]
    conditions = condition_order(settings, rows["condition"])
    shuffled = rows[rows["metric"].isin([one.metric for one in SERIES if one.open])]
    extent = shuffled[["ci_low", "ci_high"]].to_numpy(dtype=np.float64)
    values = np.concatenate([rows["estimate"].to_numpy(dtype=np.float64), extent.ravel(), [0.0]])
    legend = [Line2D([], [], **_sign(one), label=one.label) for one in SERIES]
    words = Words(title=TITLE, subtitle=str(settings.get("title") or ""), legend=legend)
    titles = {
        (name, condition): [
            *wrapped(str((settings.get("models", {}).get(name) or {}).get("title") or name), PANEL[0], SIZE),
            *wrapped(condition_title(settings, condition), PANEL[0], SIZE),
        ]
        for name in names
        for condition in conditions
    }
    header = 0.1 + LINE * max(map(len, titles.values()))
    with look():
        figure, grid = sheet(len(names), len(conditions), PANEL, words, header)
        for row, name in enumerate(names):
            for column, condition in enumerate(conditions):
                axes = grid[row][column]
                axes.set_ylim(np.nanmin(values) - 0.04, np.nanmax(values) + 0.04)
                _draw(axes, rows[(rows["condition"] == condition) & (rows["model"] == name)])
                axes.set_title("\n".join(titles[name, condition]), fontsize=SIZE)
                axes.set_xlabel("Layer" if row == len(names) - 1 else "")
                axes.set_ylabel("Spearman correlation" if column == 0 else "")
        save(figure, outputs, title=TITLE, caption=CAPTION, table=path)


def _draw(axes: Any, rows: pd.DataFrame) -> None:
    axes.axhline(0, color="#333333", linewidth=0.7)
    layers = sorted(set(rows["layer"]))
    place = {layer: number for number, layer in enumerate(layers)}
    for one in SERIES:
        own = rows[rows["metric"] == one.metric].sort_values("layer")
        at = [place[layer] for layer in own["layer"]]
        estimate = own["estimate"].to_numpy(dtype=np.float64)
        if one.open:
            low, high = (own[name].to_numpy(dtype=np.float64) for name in ("ci_low", "ci_high"))
            axes.vlines(at, low, high, color=one.colour, linewidth=1)
        axes.plot(at, estimate, **_sign(one))
    axes.set_xticks(range(len(layers)), layers)


def _sign(one: Series) -> dict[str, Any]:
    return {
        "color": one.colour,
        "marker": one.marker,
        "markersize": 4,
        "linewidth": 0.9,
        "linestyle": (0, (3, 2)) if one.open else "-",
        "markerfacecolor": "white" if one.open else one.colour,
    }
