"""A sheet of panels with its title, legend and notes, laid out in inches so that nothing overlaps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

TITLE_SIZE, SUBTITLE_SIZE, LEGEND_SIZE, NOTE_SIZE = 11.0, 8.5, 7.5, 7.0
LEFT, RIGHT, BOTTOM, COLUMN_GAP = 0.78, 0.12, 0.62, 0.42
ROW_GAP = 0.42
HANDLE = 0.62
# mean width of a character of DejaVu Sans, in its size; a little generous, so that lines fit
CHARACTER = 0.6


@dataclass(frozen=True)
class Words:
    """What stands around the panels; the subtitle names the study."""

    title: str
    subtitle: str = ""
    notes: Sequence[str] = ()
    legend: Sequence[Any] = ()


def width_of(text: str, size: float) -> float:
    """Width of a line of text of a font size in points, estimated, in inches."""
    return len(text) * CHARACTER * size / 72


def sheet(
    n_rows: int,
    n_columns: int,
    panel: tuple[float, float],
    words: Words,
    header: float = 0.3,
    left: float = LEFT,
    right: float = RIGHT,
) -> tuple[Figure, list[list[Any]]]:
    """Make a figure, and its axes by row and column, with the words above and below.

    All sizes are in inches: width and height of a panel's axes, the ``header`` above each for its title, and
    the widths ``left`` and ``right`` of all panels.
    """
    width = left + n_columns * panel[0] + (n_columns - 1) * COLUMN_GAP + right
    title = wrapped(words.title, width, TITLE_SIZE)
    subtitle = wrapped(words.subtitle, width, SUBTITLE_SIZE)
    notes = [line for note in words.notes for line in wrapped(note, width, NOTE_SIZE)]
    columns = legend_columns(words.legend, width)
    n_legend = -(-len(words.legend) // columns) if words.legend else 0
    top = 0.1 + 0.19 * len(title) + 0.16 * len(subtitle) + 0.165 * n_legend + 0.1 * bool(n_legend)
    foot = BOTTOM + 0.14 * len(notes)
    height = top + n_rows * (header + panel[1]) + (n_rows - 1) * ROW_GAP + foot
    figure = Figure(figsize=(width, height))
    lines = ((title, TITLE_SIZE, 0.19, "bold", "black"), (subtitle, SUBTITLE_SIZE, 0.16, "normal", "#444444"))
    y = height - 0.08
    for texts, size, step, weight, colour in lines:
        for line in texts:
            look: dict[str, Any] = {"fontsize": size, "fontweight": weight, "color": colour, "va": "top"}
            figure.text(0.1 / width, y / height, line, **look)
            y -= step
    if words.legend:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.02 / width, y / height)}
        place |= {"ncols": columns, "fontsize": LEGEND_SIZE, "labelspacing": 0.45, "columnspacing": 1.4}
        figure.legend(handles=list(words.legend), **place)
    for above, line in enumerate(reversed(notes)):
        figure.text(0.1 / width, (0.06 + 0.14 * above) / height, line, fontsize=NOTE_SIZE, color="#333333")
    grid: list[list[Any]] = []
    for row in range(n_rows):
        bottom = foot + (n_rows - 1 - row) * (panel[1] + header + ROW_GAP)
        lefts = [left + column * (panel[0] + COLUMN_GAP) for column in range(n_columns)]
        places = [(at / width, bottom / height, panel[0] / width, panel[1] / height) for at in lefts]
        grid.append([figure.add_axes(place) for place in places])
    return figure, grid


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines that fit a width in inches."""
    return textwrap.wrap(text, max(20, int((width - 0.2) / (CHARACTER * size / 72))))


def legend_columns(entries: Sequence[Any], width: float) -> int:
    """Most columns of a legend that fit a width in inches, filled column by column as matplotlib does."""
    lengths = [HANDLE + width_of(entry.get_label(), LEGEND_SIZE) for entry in entries]
    for n_rows in range(1, len(lengths)):
        columns = -(-len(lengths) // n_rows)
        parts = np.array_split(np.array(lengths), columns)
        if sum(part.max() for part in parts) <= width:
            return columns
    return 1
