"""The layers that cannot be told from the best one: a grid of dots, one row a condition and model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from layerscope.figures import wording
from layerscope.figures.models import read_models
from layerscope.figures.sheet import WIDTH, Words, head_row, sheet, wrapped
from layerscope.figures.style import GREY, MAY_BE_BEST, Style, depth_axis, look, save, styles
from layerscope.statistics.trust import decides
from layerscope.statistics.verdict import ANSWER
from layerscope.tables import depth, read_table

TEXT = (
    *("condition", "task", "protocol", "metric", "model", "status", "reason"),
    *("best_layer", "final_layer", "confidence_set", "best_baseline", "pca", "best_untrained"),
    *("best_untrained_layer", "surest_layer", "layers_above_untrained"),
    *("cheapest_layer", "cheapest_as_good_as_best", "better_layer", "layers_traded"),
    *("reference_baseline", "guard_metric", "guard_prefer", "better_metric", *ANSWER),
)
TITLE = "Which layers may be the best"
CAPTION = (
    "One row a condition and model, one sign a layer, at its depth. Grey squares: layers that may be the "
    "best, given the noise (95% confidence set); a row without squares has no such set. Filled sign: the "
    "layer to use, shown to be better than the final one; a row without it has none. At the right: the "
    "verdict. Of several protocols the one that decides is shown."
)
ROW_INCHES, LINE_INCHES, NAMES_INCHES, WORDS_INCHES = 0.2, 0.11, 2.3, 1.9
HEAD_INCHES, NAME_SIZE = 0.22, 7.0
SIGN: dict[str, Any] = {"color": GREY, "linestyle": "", "marker": "o"}


def read_layers(path: str | Path) -> pd.DataFrame:
    """Read the table of the layer choice; a DataError if a column is missing."""
    return read_table(path, text=TEXT, columns=(*TEXT, "n_layers", "best_depth", "best_estimate"))


def draw_layer_choice(
    layers: str | Path, output: Sequence[str | Path], *, settings: Mapping[str, Any]
) -> None:
    """Draw the confidence set of layers of every condition and model, by the protocol that decides.

    ``layers`` is the table of the layer choice; all titles of the settings are optional.
    """
    table = read_layers(layers)
    table = table[decides(table)]
    conditions = wording.condition_order(settings, table["condition"])
    models = read_models(settings)
    titles = {
        name: wrapped(models[name].title, NAMES_INCHES, NAME_SIZE) for name in dict.fromkeys(table["model"])
    }
    legend = [
        Line2D([], [], label="may be the best", **MAY_BE_BEST),
        Line2D([], [], label="a layer", markersize=4, markerfacecolor="white", **SIGN),
        Line2D([], [], label="the layer to use", markersize=6.5, **SIGN),
    ]
    rows = {name: table[table["condition"] == name].sort_values("model") for name in conditions}
    caption = CAPTION + wording.simulated_note(settings, conditions)
    notes = [] if rows else ["No foundation model was scored, so there are no layers to choose from."]
    words = Words(title=TITLE, subtitle=str(settings.get("title") or ""), notes=notes, legend=legend)
    row_height = ROW_INCHES + LINE_INCHES * (max(map(len, titles.values()), default=1) - 1)
    heights = [row_height * len(of_condition) for of_condition in rows.values()] or [row_height]
    with look():
        panels = [(1, HEAD_INCHES)] * len(heights)
        figure, grid = sheet(panels, heights, words, left=NAMES_INCHES, right=WORDS_INCHES)
        for (axes,), (condition, of_condition) in zip(grid, rows.items(), strict=False):
            title = wording.condition_title(settings, condition)
            title += f", protocol {of_condition['protocol'].iloc[0]}"
            head_row(axes, title, 0.05, indent=0.1 - NAMES_INCHES)
            _draw(axes, of_condition.to_dict("records"), styles(models), titles)
        for (axes,) in grid:
            axes.set_xlim(-0.03, 1.03)
            axes.set_yticks([])
            depth_axis(axes)
            axes.spines["left"].set_visible(False)
        grid[-1][0].set_xlabel(wording.DEPTH_LABEL)
        save(figure, output, title=TITLE, caption=caption, table=layers)


def _draw(
    axes: Any,
    rows: Sequence[Mapping[Any, Any]],
    looks: Mapping[str, Style],
    titles: Mapping[str, Sequence[str]],
) -> None:
    beside: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center"}
    left = -0.92 * NAMES_INCHES / (WIDTH - NAMES_INCHES - WORDS_INCHES)
    for place, row in enumerate(rows):
        axes.text(left, place, "\n".join(titles[row["model"]]), fontsize=NAME_SIZE, **beside)
        axes.text(1.05, place, _words(row), fontsize=7, color=GREY, **beside)
        _draw_row(axes, row, place, looks[row["model"]])
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _draw_row(axes: Any, row: Mapping[str, Any], place: int, style: Style) -> None:
    n_layers = int(row["n_layers"])
    at = {f"{layer:02d}": depth(f"{layer:02d}", n_layers) for layer in range(1, n_layers + 1)}
    if n_layers == 1:
        at = {"01": 0.0}
    best = [at[name] for name in row["confidence_set"].split(",") if name in at]
    axes.plot(best, [place] * len(best), zorder=1, **MAY_BE_BEST)
    sign: dict[str, Any] = {"linewidth": 0.5, "linestyle": "-", "markersize": 4 if n_layers <= 16 else 3}
    axes.plot(list(at.values()), [place] * len(at), **style.line | sign)
    if row["verdict"] == "use_layer" and row["use"] in at:
        axes.plot(at[row["use"]], place, color=style.colour, marker=style.marker, markersize=6.5)


def _words(row: Mapping[str, Any]) -> str:
    if not row["best_layer"]:
        return textwrap.shorten(f"no score: {row['reason']}", 32, placeholder=" ...")
    use = {"use_layer": f": layer {row['use']}", "prefer_baseline": f": {row['use']}"}
    return wording.VERDICTS[row["verdict"]] + use.get(row["verdict"], "")
