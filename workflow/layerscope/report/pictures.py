"""Figures as the page holds them: embedded, with the title and caption that their files carry."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from layerscope.errors import DataError
from layerscope.report.grid import Source

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


@dataclass(frozen=True)
class Picture:
    """A figure of the page, and the table that it shows, if it names one."""

    key: str
    title: str
    caption: str
    data: str
    source: Source
    table: Source | None


def picture(path: str | Path, page: str | Path) -> Picture:
    """Read an SVG figure, for a page that is written to ``page``; a DataError if it is none."""
    content = Path(path).read_bytes()
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not an SVG figure ({error}); give the .svg that the plot wrote") from error
    if root.tag != "{http://www.w3.org/2000/svg}svg":
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
    )
