"""What a task gives of a layer: rows and resampled values, or rows that say why there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from layerscope.arrays import Bools, Floating, Floats, Ints
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score, Subject

ROUNDING = 1e-6
Missing = Literal["undefined", "not_available"]


class NoScoreError(Exception):
    """These cells, or this layer, have no score; caught where rows are made, never a failure."""

    def __init__(self, status: Missing, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Scored:
    """Score rows of a layer and, by metric, the values by which they are resampled (see ``tables``)."""

    rows: list[Score] = field(default_factory=list)
    resamples: dict[str, Floats] = field(default_factory=dict)

    def add(self, row: Score, values: Floats, halves: Sequence[Floats] = ()) -> None:
        """Add a row with its resampled values and, where there are such, its values on halves of splits."""
        self.rows.append(row)
        self.resamples[row.metric] = values
        if halves:
            self.resamples[row.metric + CHOSEN_ON], self.resamples[row.metric + SCORED_ON] = halves


def unscored(subject: Subject, metrics: Iterable[str], status: Missing, reason: str) -> Scored:
    """Rows that say why there is no number."""
    return Scored([subject.row(metric, status=status, reason=reason) for metric in metrics])


def embedded(matrix: Floating, cells: Ints) -> tuple[Floats, Bools, str]:
    """Vectors of some cells, which of these the model did not refuse, and how many it did, in words."""
    vectors = np.asarray(matrix[cells], dtype=np.float64)
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    return vectors, finite, "" if finite.all() else f"{int((~finite).sum())} refused cells left out"


def varying_columns(vectors: Floats) -> Bools:
    """Columns that vary by more than single precision's rounding, as a share of their largest value."""
    return np.asarray(vectors.std(axis=0) > ROUNDING * np.abs(vectors).max(axis=0, initial=0))


def share_as_high(null: Floats, estimate: float) -> float:
    """P-value by random shuffles: the share that score as high, the true labels counted; NaN without any."""
    return float((1 + (null >= estimate).sum()) / (1 + len(null))) if len(null) else float("nan")
