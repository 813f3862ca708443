"""Scores that do not depend on the layer, as level lines: baselines, noise ceilings, shuffled labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from layerscope.figures.curves import INPUT_POSITION, OFFICIAL_POSITION
from layerscope.figures.models import Model
from layerscope.figures.sheet import width_of
from layerscope.figures.style import spread
from layerscope.tables import OFFICIAL, read_table

LABEL_POSITION = 1.46
LABEL_SIZE = 6.5
LABEL_INCHES = 0.12
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


BASELINE = LevelStyle("baseline (named at its line)", "#8a8a8a", "-", 0.7)
CEILING = LevelStyle("noise ceiling", "#444444", (0, (9, 3)), 1.5)
CHANCE = LevelStyle("labels shuffled", "#333333", (0, (6, 2, 1, 2)), 0.8)


@dataclass(frozen=True)
class Level:
    """One level line: its label, score and 95% interval (NaN where none is known)."""

    label: str
    style: LevelStyle
    score: float
    low: float = np.nan
    high: float = np.nan


def ceiling_intervals(path: str | Path) -> dict[str, tuple[float, float]]:
    """Read the 95% interval of each condition's noise ceiling from the table of ceilings."""
    text = ("condition", "metric", "status")
    table = read_table(path, text=text, columns=(*text, "ci_low", "ci_high"))
    known = table[(table["metric"] == CEILING_METRIC) & (table["status"] == "ok")]
    return {row["condition"]: (row["ci_low"], row["ci_high"]) for row in known.to_dict("records")}


def levels_of(
    rows: pd.DataFrame,
    condition: str,
    baselines: Sequence[Model],
    ceilings: Mapping[str, tuple[float, float]],
) -> list[Level]:
    """Baselines, noise ceiling and mean score of shuffled labels of a condition, those that there are."""
    own = rows[(rows["condition"] == condition) & (rows["status"] == "ok")]
    official = own[own["layer"] == OFFICIAL].set_index("model")
    levels = [
        Level(model.name, BASELINE, *official.loc[model.name, ["estimate", "ci_low", "ci_high"]])
        for model in baselines
        if model.name in official.index
    ]
    # the ceiling is the same for every layer and model; chance is shared by all that is scored
    for column, style in (("ceiling", CEILING), ("null_mean", CHANCE)):
        if own[column].notna().any():
            interval = ceilings.get(condition, (np.nan, np.nan)) if style is CEILING else (np.nan, np.nan)
            levels.append(Level(style.name, style, float(own[column].mean()), *interval))
    return levels


def draw_levels(axes: Any, levels: Sequence[Level]) -> None:
    """Draw level lines, each with its interval at the right and its name and score beside it.

    The score axis must have its limits; those of the depth axis are set here, so that the longest label fits.
    """
    labels = [f"{level.label} {level.score:.2f}" for level in levels]
    _make_room(axes, labels)
    if not levels:
        return
    low, high = axes.get_ylim()
    inches = axes.figure.get_figheight() * axes.get_position().height
    places = spread([level.score for level in levels], (high - low) * LABEL_INCHES / inches)
    places += min(0.0, high - places.max()) + max(0.0, low - places.min())
    for number, (level, label, place) in enumerate(zip(levels, labels, places, strict=True)):
        x = OFFICIAL_POSITION + 0.1 + 0.025 * number
        look: dict[str, Any] = {"color": level.style.colour, "zorder": 1.6}
        axes.plot([INPUT_POSITION - 0.08, x], [level.score, level.score], **level.style.line | look)
        axes.plot([x, x], [level.low, level.high], linewidth=1.2, **look)
        if level.style is CEILING:
            caps: dict[str, Any] = {"marker": "_", "markersize": 5, "linestyle": ""}
            axes.plot([x, x], [level.low, level.high], **caps, **look)
        axes.plot([x, LABEL_POSITION - 0.02], [level.score, place], linewidth=0.4, **look)
        weight = "bold" if level.style is CEILING else "normal"
        text: dict[str, Any] = {"fontsize": LABEL_SIZE, "color": "#333333", "va": "center", "zorder": 3}
        axes.text(LABEL_POSITION, place, label, fontweight=weight, **text)


def level_entry(style: LevelStyle) -> Line2D:
    """Legend entry of a kind of level line."""
    return Line2D([], [], label=style.name, **style.line)


def _make_room(axes: Any, labels: Sequence[str]) -> None:
    left = INPUT_POSITION - 0.08
    total = axes.figure.get_figwidth() * axes.get_position().width
    room = max((width_of(label, LABEL_SIZE) for label in labels), default=0.0)
    right = LABEL_POSITION if labels else OFFICIAL_POSITION + 0.12
    axes.set_xlim(left, right + (right - left) * room / max(total - room, 0.3 * total))
