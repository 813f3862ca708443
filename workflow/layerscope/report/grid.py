"""Tables of the page: what stands in their cells, and from which file and line each row comes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from layerscope.report.formats import column_texts, interval

MAX_ROWS = 3000
LONG_TEXT = 28


@dataclass(frozen=True)
class Source:
    """A file behind the page: its path as given, and as seen from the page."""

    path: Path
    shown: str

    @classmethod
    def beside(cls, path: str | Path, page: str | Path) -> Source:
        """Name a file by its path relative to the folder of the page."""
        return cls(Path(path), Path(os.path.relpath(path, Path(page).parent)).as_posix())

    def line(self, index: int) -> str:
        """Where row ``index`` of the table, counted from 0, stands in the file (line 1 is the header)."""
        return f"{self.shown}, line {index + 2}"


@dataclass(frozen=True)
class Column:
    """A column: its heading and what that means, how it is set and filtered, and its name in the file."""

    label: str
    meaning: str = ""
    kind: str = ""  # "n" for numbers, "w" for long texts
    choices: bool = False
    name: str = ""

    @property
    def hint(self) -> str:
        """What a reader sees on pointing at it."""
        return ": ".join(filter(None, [f"column {self.name}" if self.name else "", self.meaning]))


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a smaller second line, and what a reader sees on pointing at it."""

    text: str
    small: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Row:
    """A row of cells, and where it comes from."""

    cells: tuple[Cell, ...]
    hint: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of the page."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    source: Source | None = None
    note: str = ""
    filterable: bool = False


@dataclass(frozen=True)
class Finding:
    """What was found, in a sentence, and the table behind it."""

    words: str
    table: Grid


def grid_of(
    table: pd.DataFrame,
    *,
    key: str,
    caption: str,
    source: Source | None = None,
    labels: Mapping[str, str] | None = None,
    meanings: Mapping[str, str] | None = None,
    choices: Iterable[str] = (),
    filterable: bool = False,
    note: str = "",
) -> Grid:
    """Make a table of the page from any tidy table, cut after :data:`MAX_ROWS` rows.

    An interval stands in small print below its number. ``labels`` are headings; ``choices`` are columns that
    are filtered by a choice of their values.
    """
    labels, meanings, chosen_by = labels or {}, meanings or {}, set(choices)
    numbers = table.select_dtypes("number")
    ends = {name: pair for name in numbers if (pair := ends_of(name, numbers))}
    within = {end for pair in ends.values() for end in pair}
    columns, cells, shown = [], [], table.head(MAX_ROWS)
    for name in [name for name in table if name not in within]:
        label = labels.get(name, name.replace("_", " "))
        kind = _kind(table[name])
        columns.append(Column(label, meanings.get(name, ""), kind, choices=name in chosen_by, name=name))
        small = [""] * len(shown)
        if name in ends:
            small = [interval(low, high, 3) for low, high in shown[ends[name]].to_numpy()]
        cells.append(list(map(Cell, column_texts(shown[name]), small)))
    origins = [source.line(int(index)) if source else "" for index in shown.index]
    by_row = zip(*cells, strict=True) if cells else [()] * len(shown)
    rows = tuple(Row(tuple(row), hint) for row, hint in zip(by_row, origins, strict=True))
    if len(table) > MAX_ROWS:
        note = f"{note} The first {MAX_ROWS:,} of {len(table):,} rows; the file has them all.".strip()
    return Grid(key, caption, tuple(columns), rows, source, note, filterable)


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """The table without columns in which nothing stands."""
    return table[[name for name in table if not (table[name].isna() | (table[name] == "")).all()]]


def without_constant(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table without columns that say the same in every row, and in words what they say."""
    if len(table) < 2:
        return table, ""
    texts = [name for name in table if not pd.api.types.is_numeric_dtype(table[name])]
    first = table.iloc[0]
    same = [name for name in texts if first[name] and (table[name] == first[name]).all()]
    shared = ", ".join(f"{name.replace('_', ' ')} {table[name].iloc[0]}" for name in same)
    return table.drop(columns=same), f"In every row: {shared}." if shared else ""


def ends_of(name: str, columns: Collection[str]) -> list[str]:
    """Those of some columns that are the interval of a number; none if they are not there."""
    of = name.removesuffix("estimate").rstrip("_")
    pairs = [[f"{of}_{kind}{end}".lstrip("_") for end in ("low", "high")] for kind in ("ci_", "")]
    return next((pair for pair in pairs if {*pair} <= {*columns}), [])


def _kind(values: pd.Series) -> str:
    if pd.api.types.is_numeric_dtype(values):
        return "n"
    return "w" if values.astype(str).str.len().max() > LONG_TEXT else ""
