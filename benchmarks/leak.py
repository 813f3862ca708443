"""Draw what cells shared by layer and reference do to a perturbation score: ``docs/images/leak.svg``.

Run by hand on the scores of a study whose screens were scored by protocol strict::

    python benchmarks/leak.py results/tables/scores.tsv docs/images/leak.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from layerscope.figures.sheet import Words, sheet
from layerscope.figures.style import COLOURS, GREY, look, save
from layerscope.tables import OFFICIAL, read_scores

TITLE = "Shared cells look like agreement"
CAPTION = (
    "Layer and reference from the same cells (grey) and from disjoint halves of the cells (blue), with the "
    "true labels (filled signs) and with the cells' labels shuffled within lanes (open signs, with the 95% "
    "interval of their mean). Without labels there is nothing to find: an open sign away from zero is a leak."
)


@dataclass(frozen=True)
class Series:
    """One of the four scores: the metric of protocol strict that holds it, and how it looks."""

    metric: str
    label: str
    colour: str
    marker: str
    shuffled: bool

    @property
    def sign(self) -> dict[str, Any]:
        """Look of its line and markers."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 4,
            "linewidth": 0.9,
            "linestyle": (0, (3, 2)) if self.shuffled else "-",
            "markerfacecolor": "white" if self.shuffled else self.colour,
        }


SERIES = (
    Series("spearman_same_cells", "same cells, true labels", GREY, "s", False),
    Series("spearman_same_cells_shuffled_labels", "same cells, shuffled labels", GREY, "s", True),
    Series("spearman", "disjoint cells, true labels", COLOURS[0], "o", False),
    Series("spearman_shuffled_labels", "disjoint cells, shuffled labels", COLOURS[0], "o", True),
)


def draw_panel(axes: Any, rows: pd.DataFrame) -> None:
    """Draw the four series of one model in one condition, layer by layer."""
    axes.axhline(0, color="#333333", linewidth=0.7)
    layers = sorted(set(rows["layer"]))
    for series in SERIES:
        own = rows[rows["metric"] == series.metric].sort_values("layer")
        places = [layers.index(layer) for layer in own["layer"]]
        if series.shuffled:
            axes.vlines(places, own["ci_low"], own["ci_high"], color=series.colour, linewidth=1)
        axes.plot(places, own["estimate"], **series.sign)
    axes.set_xticks(range(len(layers)), layers)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw one panel for every model with layers (one row each) and condition (one column each)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scores", help="scores.tsv")
    parser.add_argument("output", nargs="+", help=".svg, .png or .pdf")
    parser.add_argument("--models", nargs="*", help="models to draw; default: all with numbered layers")
    args = parser.parse_args(argv)
    rows = read_scores(args.scores)
    rows = rows[(rows["task"] == "perturbation") & (rows["protocol"] == "strict") & (rows["status"] == "ok")]
    rows = rows[rows["metric"].isin([series.metric for series in SERIES]) & (rows["layer"] != OFFICIAL)]
    models = args.models or sorted(set(rows["model"]))
    rows = rows[rows["model"].isin(models)]
    if rows.empty:
        parser.error(f"{args.scores}: no layer has perturbation scores of protocol strict")
    conditions = sorted(set(rows["condition"]))
    shuffled = rows[rows["metric"].str.endswith("_shuffled_labels")]
    extent = np.concatenate([rows["estimate"], shuffled["ci_low"], shuffled["ci_high"], [0.0]])
    legend = [Line2D([], [], label=series.label, **series.sign) for series in SERIES]
    with look():
        figure, grid = sheet(len(models), len(conditions), (2.3, 1.7), Words(title=TITLE, legend=legend))
        for line, model in zip(grid, models, strict=True):
            for axes, condition in zip(line, conditions, strict=True):
                axes.set_ylim(np.nanmin(extent) - 0.04, np.nanmax(extent) + 0.04)
                draw_panel(axes, rows[(rows["condition"] == condition) & (rows["model"] == model)])
                axes.set_title(f"{model}\n{condition}", fontsize=7)
                axes.set_xlabel("Layer" if model == models[-1] else "")
                axes.set_ylabel("Spearman correlation" if condition == conditions[0] else "")
        save(figure, args.output, title=TITLE, caption=CAPTION, table=args.scores)


if __name__ == "__main__":
    main()
