"""Labels as people write them: near matches, natural order, missing values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from layerscope.cells.settings import written

LISTED = 30
LETTERS = 80
MEAN_MISSING = frozenset({"", "na", "n/a", "n.a.", "nan", "<na>", "none", "null", "nil", "nat", "empty"})
"""What R, pandas and spreadsheets write for a missing value, compared without regard to case."""


def among(name: str, available: Iterable[object]) -> str:
    """Say what there is instead of ``name``: near matches first, then everything (the first thirty)."""
    names = [shortened(str(choice)) for choice in available]
    folded = {choice.casefold(): choice for choice in reversed(names)}
    close = difflib.get_close_matches(name.casefold()[:LETTERS], folded, n=3, cutoff=0.6)
    near = f"did you mean {' or '.join(repr(folded[match]) for match in close)}? " if close else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{near}there are: {', '.join(names[:LISTED]) or 'none'}{more}"


def shortened(label: str) -> str:
    """A label as a message can hold it, be it a million letters long."""
    return label if len(label) <= LETTERS else f"{label[: LETTERS // 2]}... ({len(label):,} letters)"


def natural_order(labels: Iterable[str]) -> list[str]:
    """Sort labels so that the numbers in them count: ``Day3`` before ``Day10``, ``8hr`` before ``48hr``."""
    return sorted(labels, key=_natural_key)


def _natural_key(label: str) -> tuple[list[tuple[int, float, str]], str]:
    parts = re.split(r"(\d+(?:\.\d+)?)", label)
    return [(0, float(p), "") if i % 2 else (1, 0.0, p.casefold()) for i, p in enumerate(parts) if p], label


def text(column: pd.Series, missing: Sequence[str] = (), not_missing: Sequence[str] = ()) -> np.ndarray:
    """Turn a column into labels: trimmed text, whole numbers without ``.0``, ``""`` where missing.

    ``missing`` lists labels that mean "none" in this column (``-1.0``, say), beside NaN and the words of
    :data:`MEAN_MISSING`; ``not_missing`` lists those words that are labels here.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    names = [_label(value, missing, not_missing) for value in column.cat.categories]
    labels = np.array([*names, ""], dtype=object)
    chosen: np.ndarray = labels[column.cat.codes.to_numpy()]
    return chosen


def words_for_missing(column: pd.Series, not_missing: Sequence[str] = ()) -> dict[str, int]:
    """Number of rows with each word by which a column of text says "missing" (``NA``, ``none``)."""
    if column.dtype != object and not isinstance(column.dtype, pd.CategoricalDtype):
        return {}
    sizes = column.value_counts().items()
    words = {value.strip(): int(size) for value, size in sizes if size and isinstance(value, str)}
    return {word: size for word, size in words.items() if word and is_missing(word, (), not_missing)}


def is_missing(label: str, missing: Sequence[str] = (), not_missing: Sequence[str] = ()) -> bool:
    """Whether a label means "none": it is one of ``missing``, or a usual word not in ``not_missing``."""
    return label == "" or label in missing or (label.casefold() in MEAN_MISSING and label not in not_missing)


def _label(value: object, missing: Sequence[str], not_missing: Sequence[str]) -> str:
    label = written(value)
    is_none = is_missing(label, missing, not_missing) or str(value).strip() in missing
    return "" if is_none else label
