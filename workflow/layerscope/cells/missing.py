"""Labels that mean "none": empty, and the words that R, pandas and spreadsheets write for a missing value."""

from __future__ import annotations

from collections.abc import Collection

MEAN_MISSING = frozenset({"", "na", "n/a", "n.a.", "nan", "<na>", "none", "null", "nil", "nat", "empty"})
"""Compared without regard to case."""


def is_missing(label: str, missing: Collection[str] = (), not_missing: Collection[str] = ()) -> bool:
    """Whether a label means "none": it is one of ``missing``, or a usual word not in ``not_missing``."""
    return label == "" or label in missing or (label.casefold() in MEAN_MISSING and label not in not_missing)
