"""The same score of a layer centred, and of cells of unit length: does it hang on offset or scale?

The rows have no interval of their own; they stand beside the score that they vary. Of the two variations the
distances of a graph see one only: cosine distances do not see the length of a cell's vector, Euclidean ones
do not see what is added to all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from layerscope.tables import Score
from layerscope.tasks.scored import NoScoreError
from layerscope.tasks.trajectory.neighbours import Metric

CENTRED, UNIT_NORM = "_centred", "_unit_norm"  # endings of the names of the varied scores
UNSEEN: dict[Metric, tuple[str, str]] = {
    "cosine": (UNIT_NORM, "cosine distances do not see the length of a cell's vector"),
    "euclidean": (CENTRED, "Euclidean distances do not see what all cells' vectors have in common"),
}


def varied_rows(row: Score, metric: Metric, score: Callable[[], float]) -> list[Score]:
    """Rows of the varied scores beside that of the score; ``score`` computes the one that the metric sees."""
    plain = replace(row, ci_low=np.nan, ci_high=np.nan, null_mean=np.nan, p_value=np.nan, ceiling=np.nan)
    unseen, why = UNSEEN[metric]
    rows = []
    for ending in (CENTRED, UNIT_NORM):
        named = replace(plain, metric=row.metric + ending)
        if row.status != "ok":
            rows.append(named)
        elif ending == unseen:
            rows.append(replace(named, reason=why))
        else:
            rows.append(_scored(named, score))
    return rows


def _scored(row: Score, score: Callable[[], float]) -> Score:
    undefined = replace(row, estimate=np.nan, status="undefined")
    try:
        value = score()
    except NoScoreError as error:
        return replace(undefined, reason=str(error))
    if np.isnan(value):
        return replace(undefined, reason="no correlation: too few cells, or a pseudotime is constant")
    return replace(row, estimate=value)
