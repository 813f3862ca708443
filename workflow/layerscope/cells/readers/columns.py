"""The columns of one file's cells, read by name as labels, numbers or flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layerscope.cells.labels import among, natural_order, shortened, text, words_for_missing
from layerscope.errors import DataError

CODE = re.compile(r"-?\d+", re.ASCII)


@dataclass(eq=False)
class Columns:
    """The columns of one file's cells."""

    name: str  # of the file
    available: Sequence[str]
    read: Callable[[str], pd.Series]
    also: Sequence[str] = ()  # what can be read besides, and is not listed in messages
    not_missing: Sequence[str] = ()  # words such as ``NA`` that are labels here
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)  # by column, what the log should say
    stored_times: tuple[str, ...] = ()  # the order of sampling times that the file itself gives

    def __contains__(self, column: object) -> bool:
        return column in self.available

    def column(self, column: str, key: str) -> pd.Series:
        """Read a column, or refuse it with the columns that there are; ``key`` of the settings names it."""
        if column not in (*self.available, *self.also):
            raise DataError(
                f"{self.name}: no column {column!r} in obs; {among(column, self.available)}. Mend `{key}`"
            )
        self.used[column] = None
        return self.read(column)

    def labels(
        self, column: str, key: str, missing: Sequence[str] = (), named: Sequence[str] = ()
    ) -> np.ndarray:
        """Read a column as labels: of words for missing values, those in ``named`` are labels here."""
        return self.as_labels(self.column(column, key), column, missing, named)

    def as_labels(
        self, values: pd.Series, column: str, missing: Sequence[str] = (), named: Sequence[str] = ()
    ) -> np.ndarray:
        """The same of values that have been read; says which words were taken for missing values."""
        not_missing = (*self.not_missing, *named)
        if words := words_for_missing(values, (*not_missing, *missing)):
            listed = ", ".join(f"{word!r} ({size:,} cells)" for word, size in words.items())
            self.remarks[column] = (
                f"column {column!r}: {listed} taken for a missing label; if it is a label, "
                f"set `not_missing: [{next(iter(words))}]`"
            )
        return text(values, missing, not_missing)

    def numbers(self, column: str, key: str) -> np.ndarray:
        """Read a column of numbers; NaN where missing."""
        labels = self.labels(column, key)
        parsed = pd.to_numeric(self.column(column, key).astype(object), errors="coerce")
        numbers: np.ndarray = parsed.to_numpy(dtype=np.float64)
        words = list(dict.fromkeys(labels[(labels != "") & np.isnan(numbers)]))
        if words:
            few = ", ".join(repr(shortened(label)) for label in words[:3])
            raise DataError(f"{self.name}: column {column!r} must hold numbers, found {few}. Mend `{key}`")
        return numbers

    def flags(self, column: str, key: str) -> np.ndarray:
        """Read a column of true and false, however they are written; missing is false."""
        values = self.labels(column, key)
        flags = {"true": True, "1": True, "false": False, "0": False, "": False}
        unknown = sorted({str(value) for value in values if str(value).casefold() not in flags})
        if unknown:
            few = ", ".join(map(shortened, unknown[:3]))
            raise DataError(
                f"{self.name}: column {column!r} must hold true or false, found {few}. Mend `{key}`"
            )
        return np.array([flags[str(value).casefold()] for value in values], dtype=bool)

    def expect(self, wanted: Iterable[str], values: np.ndarray, column: str, key: str) -> None:
        """Note in ``absent`` the labels that no cell carries, with what there is and the key to mend."""
        present = set(values)
        for label in wanted:
            if label not in present:
                labels = natural_order(value for value in present if value)
                problem = f"{self.name}: no cell is labelled {shortened(label)!r} in column {column!r}"
                codes = (
                    "; these are codes without labels"
                    if are_codes(labels) and not CODE.fullmatch(label)
                    else ""
                )
                self.absent[key, label] = f"{problem}; {among(label, labels)}{codes}. Mend `{key}`"


def is_one_of(values: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Which values are among the labels."""
    carries: np.ndarray = pd.Index(values).isin(list(labels))
    return carries


def are_codes(labels: Sequence[str]) -> bool:
    """Whether labels are the numbers from 0 (or -1) up, as a table of categories without its names gives."""
    if not all(CODE.fullmatch(label) for label in labels):
        return False
    numbers = {int(label) for label in labels} - {-1}
    return bool(numbers) and numbers == set(range(len(numbers)))
