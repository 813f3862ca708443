"""A sheet of panels with its title, legend and notes, laid out in inches so that nothing overlaps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure

WIDTH = 7.1
"""Width of every figure in inches: that of a sheet of A4 between its margins, where 7 pt stay 7 pt."""
COLUMNS = 3
MAX_PANEL = 4.4
TITLE_SIZE, SUBTITLE_SIZE, PANEL_TITLE_SIZE, LEGEND_SIZE, NOTE_SIZE = 10.0, 8.0, 8.0, 7.5, 7.0
LEFT, RIGHT, BOTTOM, COLUMN_GAP, ROW_GAP = 0.75, 0.08, 0.56, 0.22, 0.36
HANDLE = 0.62
# mean width of a character of DejaVu Sans, in its size; a little generous, so that lines fit
CHARACTER = 0.6
T = TypeVar("T")


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


def wrap(items: Sequence[T], columns: int = COLUMNS) -> list[Sequence[T]]:
    """Divide what is drawn in panels into rows."""
    return [items[start : start + columns] for start in range(0, len(items), columns)]


def sheet(
    rows: Sequence[tuple[int, float]],
    height: float | Sequence[float],
    words: Words,
    left: float = LEFT,
    right: float = RIGHT,
    gap: float = COLUMN_GAP,
) -> tuple[Figure, list[list[Any]]]:
    """Make a figure, and its axes by row and column, with the words above and below.

    Of each row of panels, their number and the space above them for titles; ``height`` is that of a panel, or
    of those of each row, ``left`` and ``right`` are beside all of them. All sizes are in inches.
    """
    n_columns = max(number for number, _ in rows)
    panel = min(MAX_PANEL, (WIDTH - left - right - (n_columns - 1) * gap) / n_columns)
    title = wrapped(words.title, WIDTH, TITLE_SIZE)
    subtitle = wrapped(words.subtitle, WIDTH, SUBTITLE_SIZE)
    notes = [line for note in words.notes for line in wrapped(note, WIDTH, NOTE_SIZE)]
    columns = legend_columns(words.legend, WIDTH)
    n_legend = -(-len(words.legend) // columns) if words.legend else 0
    top = 0.1 + 0.18 * len(title) + 0.15 * len(subtitle) + 0.165 * n_legend + 0.1 * bool(n_legend)
    foot = BOTTOM + 0.13 * len(notes)
    heights = height if isinstance(height, Sequence) else [height] * len(rows)
    total = top + sum(header for _, header in rows) + sum(heights) + (len(rows) - 1) * ROW_GAP + foot
    figure = Figure(figsize=(WIDTH, total))
    lines = ((title, TITLE_SIZE, 0.18, "bold", "black"), (subtitle, SUBTITLE_SIZE, 0.15, "normal", "#444444"))
    y = total - 0.08
    for texts, size, step, weight, colour in lines:
        for line in texts:
            look: dict[str, Any] = {"fontsize": size, "fontweight": weight, "color": colour, "va": "top"}
            figure.text(0.08 / WIDTH, y / total, line, **look)
            y -= step
    if words.legend:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.01 / WIDTH, y / total)}
        place |= {"ncols": columns, "fontsize": LEGEND_SIZE, "labelspacing": 0.45, "columnspacing": 1.2}
        figure.legend(handles=list(words.legend), **place)
    for above, line in enumerate(reversed(notes)):
        figure.text(0.08 / WIDTH, (0.06 + 0.13 * above) / total, line, fontsize=NOTE_SIZE, color="#333333")
    grid: list[list[Any]] = []
    bottom = total - top
    for (number, header), tall in zip(rows, heights, strict=True):
        bottom -= header + tall
        places = [left + column * (panel + gap) for column in range(number)]
        grid.append(
            [figure.add_axes((x / WIDTH, bottom / total, panel / WIDTH, tall / total)) for x in places]
        )
        bottom -= ROW_GAP
    return figure, grid


def title_panel(axes: Any, title: str, above: float = 0.05) -> None:
    """Write a title over a panel, in as many lines as its width needs, ``above`` it in inches."""
    width = axes.figure.get_figwidth() * axes.get_position().width
    lines = wrapped(title, width + 0.2, PANEL_TITLE_SIZE)
    axes.set_title("\n".join(lines), fontsize=PANEL_TITLE_SIZE, y=1, pad=72 * above)


def head_row(axes: Any, title: str, above: float, indent: float = 0.0) -> None:
    """Write a heading over a row of panels, ``above`` its first one and from the ``indent`` in inches."""
    look: dict[str, Any] = {"fontsize": PANEL_TITLE_SIZE, "fontweight": "bold"}
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(title, (0, 1), (72 * indent, 72 * above), **place, **look)


def title_height(titles: Iterable[str], n_columns: int, left: float = LEFT, gap: float = COLUMN_GAP) -> float:
    """Space that :func:`title_panel` needs for the longest of some titles, in inches."""
    width = min(MAX_PANEL, (WIDTH - left - RIGHT - (n_columns - 1) * gap) / n_columns)
    return 0.1 + 0.14 * max((len(wrapped(t, width + 0.2, PANEL_TITLE_SIZE)) for t in titles), default=0)


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Break a text into lines that fit a width in inches."""
    return textwrap.wrap(text, max(20, int((width - 0.2) / (CHARACTER * size / 72))))


def legend_columns(entries: Sequence[Any], width: float) -> int:
    """Most columns of a legend that fit a width in inches, filled column by column as matplotlib does."""
    lengths = [HANDLE + 0.9 * width_of(entry.get_label(), LEGEND_SIZE) for entry in entries]
    for n_rows in range(1, len(lengths)):
        columns = -(-len(lengths) // n_rows)
        parts = np.array_split(np.array(lengths), columns)
        if sum(part.max() for part in parts) <= width:
            return columns
    return 1
