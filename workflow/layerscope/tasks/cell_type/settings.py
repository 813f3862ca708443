"""What a study may set for its cell types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from layerscope.tasks.settings import checked, is_whole

GROUP_COLUMNS = ("donor", "batch", "replicate", "clone")
METRICS = ("cosine", "euclidean")
SMALLEST = {
    "folds": 2,
    "least_groups": 2,
    "cells_per_type": 2,
    "most_cells": 20,
    "neighbours": 1,
    "shuffles": 0,
    "refits": 0,
    "resamples": 0,
    "splits": 0,
}


@dataclass(frozen=True, kw_only=True)
class CellTypeSettings:
    """Settings of protocol ``strict``, the only one of this task: the paper scores no cell types.

    Attributes
    ----------
    grouped_by
        Columns by which cells are divided between training and test, in order of preference: the first that
        has two labels or more is taken. Without any, folds are stratified by cell type.
    folds
        Parts of the cross-validation, at most as many as there are groups.
    least_groups
        Groups that there must be for the interval to draw groups; of fewer it draws cells.
    cells_per_type
        Cell types of fewer cells are left out.
    most_cells
        Cells scored; of more, so many are drawn by the seed.
    penalty
        Ridge penalty of the linear probe, per training cell (scikit-learn's ``C`` is 1 / (penalty x cells)).
    neighbours, metric
        Of the k-nearest-neighbour vote and, the metric alone, of the silhouette.
    shuffles
        Shuffles of the labels, each with everything re-run.
    refits
        Bootstrap resamples of the training cells, each with everything re-run.
    resamples
        Bootstrap resamples of the tested cells (or groups).
    splits
        Random halves, for a layer chosen on one and scored on the other.
    """

    grouped_by: tuple[str, ...] = ("donor", "batch")
    folds: int = 5
    least_groups: int = 10
    cells_per_type: int = 10
    most_cells: int = 5000
    penalty: float = 0.01
    neighbours: int = 15
    metric: str = "cosine"
    shuffles: int = 20
    refits: int = 20
    resamples: int = 1000
    splits: int = 100

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> CellTypeSettings:
        """Check settings as they come from a config.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value is not of its kind.
        """
        return checked(cls, given, "cell_type", _expected)


PROTOCOLS = {"strict": CellTypeSettings}


def _expected(name: str, value: Any) -> str:
    """What a setting must be, if it is not."""
    if name == "grouped_by":
        fits = isinstance(value, list | tuple) and all(column in GROUP_COLUMNS for column in value)
        return "" if fits else f"a list of {', '.join(GROUP_COLUMNS)}"
    if name == "metric":
        return "" if value in METRICS else " or ".join(METRICS)
    if name == "penalty":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if number and value > 0 else "a number above 0"
    return "" if is_whole(value, SMALLEST[name]) else f"a whole number from {SMALLEST[name]}"
