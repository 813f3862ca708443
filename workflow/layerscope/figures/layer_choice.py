"""The layers that cannot be told from the best one: a grid of dots, one row a condition and model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from layerscope.figures import wording
from layerscope.figures.sheet import Words, sheet
from layerscope.figures.style import CURVES, GREY, depth_axis, look, save
from layerscope.statistics.trust import decides
from layerscope.statistics.verdict import ANSWER
from layerscope.tables import depth, read_table

TEXT = (
    *("condition", "task", "protocol", "metric", "model", "status", "reason"),
    *("best_layer", "final_layer", "confidence_set", "best_baseline", "best_untrained"),
    *("best_untrained_layer", "surest_layer", "layers_above_untrained"),
    *("cheapest_layer", "cheapest_as_good_as_best", "better_layer", "layers_traded", *ANSWER),
)
TITLE = "Layers that cannot be told from the best one"
CAPTION = (
    "One row a condition and model, one sign a layer, at its depth. Filled: in the 95% confidence set of the "
    "best layer; open: worse; ring: the highest score. A row without filled signs has no confidence set. Of "
    "several protocols the one that decides is shown."
)
ROW_INCHES = 0.24
SIGN: dict[str, Any] = {"linestyle": "", "color": CURVES[0].colour, "marker": "o"}


def read_layers(path: str | Path) -> pd.DataFrame:
    """Read the table of the layer choice; a DataError if a column is missing."""
    return read_table(path, text=TEXT, columns=(*TEXT, "n_layers", "best_depth", "best_estimate"))


def draw_layer_choice(
    path: str | Path, outputs: Sequence[str | Path], *, settings: Mapping[str, Any]
) -> None:
    """Draw the confidence set of layers of every condition and model, by the protocol that decides.

    ``path`` is the table of the layer choice; all titles of the settings are optional.
    """
    table = read_layers(path)
    table = table[decides(table)]
    conditions = wording.condition_order(settings, table["condition"])
    protocols = sorted(set(table["protocol"]))
    signs = (
        ("cannot be told from the best", 5, SIGN["color"]),
        ("worse than the best", 5, "white"),
        ("highest score", 9, "none"),
    )
    legend = [Line2D([], [], label=of, markersize=n, markerfacecolor=face, **SIGN) for of, n, face in signs]
    rows = [
        row
        for condition in conditions
        for row in table[table["condition"] == condition].sort_values("model").to_dict("records")
    ]
    caption = CAPTION + wording.simulated_note(settings, conditions)
    notes = [] if rows else ["No foundation model was scored, so there are no layers to choose from."]
    words = Words(title=TITLE, subtitle=str(settings.get("title") or ""), notes=notes, legend=legend)
    panel = (8.6, ROW_INCHES * max(1, len(rows) + len(conditions)))
    with look():
        figure, grid = sheet(1, 1, panel, words, header=0.1, left=0.12)
        _draw(grid[0][0], rows, settings, with_protocol=len(protocols) > 1)
        save(figure, outputs, title=TITLE, caption=caption, table=path)


def _draw(axes: Any, rows: list[dict[Any, Any]], settings: Mapping[str, Any], with_protocol: bool) -> None:
    place, condition = 0, None
    for row in rows:
        if row["condition"] != condition:
            condition = row["condition"]
            title = wording.condition_title(settings, row["condition"])
            axes.text(-0.72, place, title, fontweight="bold", va="center")
            place += 1
        protocol = f" ({row['protocol']})" if with_protocol else ""
        axes.text(-0.69, place, f"{row['model']}{protocol}", fontsize=7.5, va="center")
        _draw_row(axes, row, place)
        place += 1
    axes.set_ylim(max(place, 1) - 0.5, -0.5)
    axes.set_xlim(-0.73, 1.75)
    axes.set_yticks([])
    depth_axis(axes)
    axes.set_xlabel(wording.DEPTH_LABEL, x=0.31, ha="left")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)


def _draw_row(axes: Any, row: Mapping[str, Any], place: int) -> None:
    n_layers = int(row["n_layers"])
    names = [f"{layer:02d}" for layer in range(1, n_layers + 1)]
    at = {name: 0.0 if n_layers < 2 else depth(name, n_layers) for name in names}
    alike = set(filter(None, row["confidence_set"].split(",")))
    size = 4.6 if n_layers <= 16 else 3.6
    axes.plot([0, 1], [place, place], color="#cccccc", linewidth=0.5, zorder=1)
    for drawn, face in ((names, "white"), ([name for name in names if name in alike], CURVES[0].colour)):
        xs = [at[name] for name in drawn]
        axes.plot(xs, [place] * len(xs), markersize=size, markerfacecolor=face, zorder=2, **SIGN)
    if row["best_layer"] in at:
        axes.plot(at[row["best_layer"]], place, markersize=9, markerfacecolor="none", zorder=3, **SIGN)
        words = f"best {int(row['best_layer'])} of {n_layers}"
        words += f"; {wording.layer_ranges(alike)}" if alike else "; no confidence set"
    else:
        words = f"no score: {row['reason']}"
    words = textwrap.shorten(words, 46, placeholder=" ...")
    axes.text(1.06, place, words, fontsize=7, color=GREY, va="center")
