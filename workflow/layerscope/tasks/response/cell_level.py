"""The number that others report for single cells: what it cannot tell apart is shown by its shuffled twin.

Each cell's expression is decoded from the layer's vector of the SAME cell, and one Pearson correlation is
taken over all held-out cells and genes. A cell decodes itself whatever its label says.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from layerscope.arrays import Floats
from layerscope.tasks.response.targets import Folds
from layerscope.tasks.scored import varying_columns

PENALTY = 1e-4
"""Ridge penalty as published, beside sums of squares over all cells."""


def cell_level_pearson(vectors: Floats, expression: Floats, item: NDArray[np.int64], folds: Folds) -> float:
    """Pearson correlation of decoded with measured expression, over held-out cells and genes.

    ``vectors`` (cells x columns) and ``expression`` (cells x genes, minus the control's mean) are of the same
    cells; ``item`` is each cell's perturbation from 1, 0 the control, which always trains. All other folds
    train, as is published: also perturbations that share a target. NaN where nothing varies.
    """
    spread = vectors.std(axis=0)
    varies = varying_columns(vectors)
    standard = (vectors[:, varies] - vectors[:, varies].mean(axis=0)) / spread[varies]
    with_one = np.column_stack([np.ones(len(standard)), standard])
    square, product = with_one.T @ with_one, with_one.T @ expression
    decoded, measured = [], []
    for test in folds.test:
        held_out = np.concatenate([[False], test])[item]
        own = with_one[held_out]
        # the sums of the cells that train are those of all cells without those of the held-out ones
        left, right = square - own.T @ own, product - own.T @ expression[held_out]
        left[range(1, len(left)), range(1, len(left))] += PENALTY
        decoded.append(own @ cho_solve(cho_factor(left, lower=True), right))
        measured.append(expression[held_out])
    predicted, true = np.concatenate(decoded).ravel(), np.concatenate(measured).ravel()
    predicted, true = predicted - predicted.mean(), true - true.mean()
    scale = math.sqrt(float(predicted @ predicted) * float(true @ true))
    return float(predicted @ true) / scale if scale else math.nan
