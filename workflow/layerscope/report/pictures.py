"""Figures as the page holds them: embedded, with the title and caption that their files carry."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

from layerscope.errors import DataError
from layerscope.figures.sheet import ROW_GAP
from layerscope.report.grid import Source

SVG = "{http://www.w3.org/2000/svg}"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
INCH = 72.0
SHEET = 740.0
"""Height of a sheet of A4 between its margins, in points, with some room."""


@dataclass(frozen=True)
class Picture:
    """A figure of the page, and the table that it shows, if it names one.

    ``parts`` are the top and height, in points, of what stands on one sheet of paper, where it needs several.
    """

    key: str
    title: str
    caption: str
    data: str
    source: Source
    table: Source | None
    parts: tuple[tuple[float, float], ...] = ()


def picture(path: str | Path, page: str | Path) -> Picture:
    """Read an SVG figure, for a page that is written to ``page``; a DataError if it is none."""
    content = Path(path).read_bytes()
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not an SVG figure ({error}); give the .svg that the plot wrote") from error
    if root.tag != f"{SVG}svg":
        raise DataError(
            f"{path}: not an SVG figure (its root is {root.tag!r}); give the .svg that the plot wrote"
        )

    def carried(name: str) -> str:
        return root.findtext(f".//{DUBLIN_CORE}{name}", default="").strip()

    table = carried("source")
    return Picture(
        key=f"figure-{Path(path).stem}",
        title=carried("title") or Path(path).stem.replace("_", " "),
        caption=carried("description"),
        data="data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii"),
        source=Source.beside(path, page),
        table=Source.beside(Path(path).parent / table, page) if table else None,
        parts=_parts(root),
    )


def _parts(root: ElementTree.Element) -> tuple[tuple[float, float], ...]:
    """Top and height of the rows of panels that fit a sheet together; none where all or none fit it."""
    unit, height = root.get("height", "")[-2:], root.get("height", "")[:-2]
    if unit != "pt" or float(height) <= SHEET:
        return ()
    panels = [group for group in root.iter(f"{SVG}g") if group.get("id", "").startswith("axes_")]
    outlines = [panel.find(f".//{SVG}path[@d]") for panel in panels]
    points = [re.findall(r"[ML] \S+ (\S+)", path.get("d", "")) for path in outlines if path is not None]
    extents = [(min(ends), max(ends)) for of in points if (ends := [*map(float, of)])]
    # an axis at the top of a panel has an outline without a height
    bottoms = sorted({round(bottom) for top, bottom in extents if bottom - top > ROW_GAP * INCH})
    ends = [*(bottom + ROW_GAP * INCH for bottom in bottoms[:-1]), float(height), math.inf]
    parts, top = [], 0.0
    for end, following in pairwise(ends):
        if following - top > SHEET:
            parts.append((top, end - top))
            top = end
    return tuple(parts) if max(of_part for _, of_part in parts) <= SHEET else ()
