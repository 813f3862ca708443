"""Scores that do not depend on the layer: baselines as points beside the layers, and level lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D

from layerscope.figures.curves import INPUT_POSITION, OFFICIAL_POSITION
from layerscope.figures.style import Style
from layerscope.tables import OFFICIAL, read_table

LEFT_END = INPUT_POSITION - 0.08
FIRST_BASELINE = OFFICIAL_POSITION + 0.16
CEILING_METRIC = "ceiling_by_split"
"""The ceiling of a score: the reference in one half of the cells against that in the other."""


@dataclass(frozen=True)
class LevelStyle:
    """Name in the legend and look of a kind of level line; no curve is drawn in such greys."""

    name: str
    colour: str
    dashes: Any
    width: float

    @property
    def line(self) -> dict[str, Any]:
        """Options of a line of this kind."""
        return {"color": self.colour, "linestyle": self.dashes, "linewidth": self.width}


BEST_BASELINE = LevelStyle("highest baseline", "#8a8a8a", "-", 0.7)
CEILING = LevelStyle("noise ceiling", "#444444", (0, (9, 3)), 1.5)
CHANCE = LevelStyle("labels shuffled", "#333333", (0, (6, 2, 1, 2)), 0.8)


def ceiling_intervals(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read the 95% interval of each condition's noise ceiling from the table of ceilings."""
    text = ("condition", "metric", "status")
    table = read_table(path, text=text, columns=(*text, "ci_low", "ci_high"))
    known = table[(table["metric"] == CEILING_METRIC) & (table["status"] == "ok")]
    return {row["condition"]: (row["ci_low"], row["ci_high"]) for row in known.to_dict("records")}


def levels_of(rows: pd.DataFrame, baselines: Sequence[str]) -> list[tuple[LevelStyle, float]]:
    """Level lines of a condition's scores, those that there are: style and score."""
    highest = rows.loc[rows["model"].isin(baselines), "estimate"].max()
    # the ceiling is the same for every layer and model; chance is shared by all that is scored
    levels = (BEST_BASELINE, highest), (CEILING, rows["ceiling"].mean()), (CHANCE, rows["null_mean"].mean())
    return [(style, float(score)) for style, score in levels if pd.notna(score)]


def draw_levels(
    axes: Any,
    rows: pd.DataFrame,
    baselines: Mapping[str, Style],
    ceiling: tuple[float, float] | None,
    marked: set[str],
) -> None:
    """Draw what does not depend on the layer at the right of the layers, filled where it is ``marked``.

    ``rows`` are the scores of one condition that exist.
    """
    step = min(0.11, 0.6 / max(len(baselines), 1))
    right = FIRST_BASELINE + step * len(baselines)
    for level, score in levels_of(rows, list(baselines)):
        axes.plot([LEFT_END, right], [score, score], **level.line, zorder=1.6)
    if ceiling:
        bar: dict[str, Any] = {"color": CEILING.colour, "marker": "_", "markersize": 5, "linewidth": 1.2}
        axes.plot([right, right], ceiling, zorder=1.6, **bar)
    official = rows[rows["layer"] == OFFICIAL].set_index("model")
    for place, (name, style) in enumerate(baselines.items()):
        if name in official.index:
            score, low, high = official.loc[name, ["estimate", "ci_low", "ci_high"]]
            x = FIRST_BASELINE + step * place
            axes.plot([x, x], [low, high], color=style.colour, linewidth=1, zorder=3)
            look: dict[str, Any] = {"markersize": 4.5, "zorder": 5}
            if name in marked:
                look = {"markersize": 7.5, "zorder": 6, "markerfacecolor": style.colour}
            axes.plot(x, score, **style.line | {"linestyle": ""} | look)
    axes.set_xlim(LEFT_END - 0.02, right + 0.05)


def level_entry(style: LevelStyle) -> Line2D:
    """Legend entry of a kind of level line."""
    return Line2D([], [], label=style.name, **style.line)


def level_entries(rows: pd.DataFrame) -> list[Line2D]:
    """Legend entries of noise ceiling and shuffled labels, where some rows have them."""
    kinds = (CEILING, "ceiling"), (CHANCE, "null_mean")
    return [level_entry(kind) for kind, column in kinds if rows[column].notna().any()]
