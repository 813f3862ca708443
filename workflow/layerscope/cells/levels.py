"""What labels are of: each cell, its sample, or its donor; and how many donors speak for each label."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from layerscope.cells.guesses import MAX_LABELS, MIN_LABELS, Column, first
from layerscope.cells.labels import shortened

NAMES_CELLS = ("guide", "clone")
SHOWN = 6


def label_lines(columns: Sequence[Column]) -> list[str]:
    """Columns whose labels a layer may be asked to tell apart, a line each."""
    donors, samples = _groups(columns)
    lines = [f"{column.name}: {_words(column, donors, samples)}" for column in label_columns(columns)]
    return lines or ["no column has from 2 to 60 labels"]


def label_columns(columns: Sequence[Column]) -> list[Column]:
    """Columns of a few labels that each mean something and do not name donors or samples."""
    donors, samples = _groups(columns)
    chosen = []
    for column in columns:
        groups = [group for group in (donors, samples) if group is not None and group is not column]
        if column not in (donors, samples) and may_be_labels(column) and not _renames(column, groups):
            chosen.append(column)
    return chosen


def labels_of_groups(columns: Sequence[Column]) -> dict[str, str]:
    """Columns whose labels were given to whole samples or donors: ``sample`` or ``donor`` by name."""
    donors, samples = _groups(columns)
    levels = {column.name: level(column, donors, samples) for column in label_columns(columns)}
    return {name: of for name, of in levels.items() if of != "cell"}


def _groups(columns: Sequence[Column]) -> tuple[Column | None, Column | None]:
    """The columns of donors and of samples; these are batches where no column is called so."""
    samples = next((column for column in columns if column.name == "sample"), None)
    return first(columns, "donor"), samples or first(columns, "batch")


def may_be_labels(column: Column) -> bool:
    """Whether a column holds a few labels that each mean something."""
    few = MIN_LABELS <= len(column.sizes) <= MAX_LABELS
    return few and not column.numeric and column.guess not in NAMES_CELLS


def level(column: Column, donors: Column | None, samples: Column | None) -> str:
    """``donor`` or ``sample`` where all cells of each have one label, else ``cell``."""
    if donors is not None and _constant(column, donors):
        return "donor"
    return "sample" if samples is not None and _constant(column, samples) else "cell"


def _constant(column: Column, groups: Column) -> bool:
    pairs = _pairs(column, groups)
    return len(pairs) > 0 and not pairs["group"].duplicated().any()


def _pairs(column: Column, groups: Column) -> pd.DataFrame:
    """Labels and groups that occur together, each pair once."""
    table = pd.DataFrame({"label": column.labels, "group": groups.labels})
    pairs = table.drop_duplicates().astype(str)
    return pairs[(pairs["label"] != "") & (pairs["group"] != "")]


def _renames(column: Column, groups: Sequence[Column]) -> bool:
    """Whether the column only gives donors or samples other names."""
    return any(
        _constant(column, group) and not _pairs(column, group)["label"].duplicated().any() for group in groups
    )


def _words(column: Column, donors: Column | None, samples: Column | None) -> str:
    of = level(column, donors, samples)
    groups, kind = (donors, "donor") if donors is not None else (samples, "sample")
    labels = f"{len(column.sizes)} labels, of the {of}"
    if groups is None:
        return f"{labels}; no column names donors or samples to test across"
    counts = _pairs(column, groups)["label"].value_counts().sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    if of == "cell":
        fewest, most = counts.min(), counts.max()
        spread = f"{most}" if fewest == most else f"{fewest} to {most}"
        return f"{labels}; each in {spread} of {len(groups.sizes)} {kind}s ({groups.name})"
    shown = ", ".join(f"{shortened(str(label))}: {n}" for label, n in counts.iloc[:SHOWN].items())
    more = " ..." if len(counts) > SHOWN else ""
    alone = counts[counts == 1]
    doubt = f"; a label of one {kind} cannot be told from that {kind}" if len(alone) else ""
    return f"{labels}; {kind}s ({groups.name}) with each: {shown}{more}{doubt}"
