"""Cells of several batches, with an embedding that mixes them and keeps types as far as is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.tables import Score, Subject
from layerscope.tasks.integration.design import design_of
from layerscope.tasks.integration.scores import score_layer
from layerscope.tasks.integration.settings import IntegrationSettings

QUICK = {"resamples": 200, "shuffles": 5, "parts": 10, "neighbours": 30}
ABOUT: dict[str, Any] = {
    "condition": "blood",
    "model": "model",
    "layer": "03",
    "depth": 0.5,
    "task": "integration",
    "protocol": "strict",
}


def cells(n_cells: int = 600, n_types: int = 3, n_batches: int = 3, seed: int = 0) -> pd.DataFrame:
    """A table of cells whose types do not depend on their batches."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "cell_type": [f"type {k}" for k in random.integers(0, n_types, n_cells)],
            "batch": [f"batch {k}" for k in random.integers(0, n_batches, n_cells)],
        },
        index=pd.Index([f"cell-{k:04d}" for k in random.permutation(n_cells)]),
    )


def layer(
    obs: pd.DataFrame, of_types: float = 1.0, of_batches: float = 0.0, width: int = 8, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Noise of standard deviation 1 around a centre for every type and a shift for every batch."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(len(obs), width))
    for column, size in (("cell_type", of_types), ("batch", of_batches)):
        number = np.unique(obs[column].astype(str), return_inverse=True)[1]
        centres = random.normal(size=(number.max() + 1, width))
        centres *= 4 / np.linalg.norm(centres, axis=1, keepdims=True)
        vectors += size * centres[number]
    return vectors.astype(np.float32)


def scored(
    obs: pd.DataFrame, matrix: npt.NDArray[np.floating], seed: int = 1, **settings: Any
) -> tuple[dict[str, Score], dict[str, npt.NDArray[np.float64]]]:
    """Rows by metric, and the resampled values."""
    chosen = IntegrationSettings.read(QUICK | settings)
    subject = Subject(**ABOUT, seed=seed)
    made = score_layer(matrix, design_of(obs, chosen, seed), chosen, subject)
    return {row.metric: row for row in made.rows}, made.resamples
