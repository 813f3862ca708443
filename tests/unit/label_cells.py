"""Cells with types, donors and an embedding of known worth, for the tests of that task."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.tables import Score, Subject
from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.scores import score_layer
from layerscope.tasks.label.settings import LabelSettings

ABOUT: dict[str, Any] = {
    "condition": "blood",
    "model": "model",
    "layer": "03",
    "depth": 0.5,
    "task": "label",
    "protocol": "strict",
}
QUICK = {"resamples": 100, "splits": 20, "shuffles": 10, "refits": 5}


def cells(n_cells: int = 240, n_types: int = 3, n_donors: int = 6, seed: int = 0) -> pd.DataFrame:
    """A table of cells whose types do not depend on their donors."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cell_type": [f"type {k}" for k in random.integers(0, n_types, n_cells)],
            "donor": [f"donor {k}" for k in np.arange(n_cells) % n_donors],
        },
        index=pd.Index([f"cell-{k:04d}" for k in random.permutation(n_cells)]),
    )


def clusters(labels: pd.Series, spread: float, width: int = 8, seed: int = 0) -> npt.NDArray[np.float32]:
    """One cluster of vectors per label, its centre a random direction of length 4."""
    random = np.random.default_rng(seed)
    names, label = np.unique(labels.astype(str), return_inverse=True)
    centres = random.normal(size=(len(names), width))
    centres *= 4 / np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray(centres[label] + random.normal(0, spread, (len(labels), width)), dtype=np.float32)


def scored(
    obs: pd.DataFrame, matrix: npt.NDArray[np.floating], seed: int = 1, **settings: Any
) -> tuple[dict[str, Score], dict[str, npt.NDArray[np.float64]]]:
    """Rows by metric, and the resampled values."""
    chosen = LabelSettings.read(QUICK | settings)
    subject = Subject(**ABOUT, seed=seed)
    made = score_layer(matrix, design_of(obs, chosen, seed), chosen, subject)
    return {row.metric: row for row in made.rows}, made.resamples
