"""Times predicted by a ridge regression of the rank of time on a layer, for groups that it has not seen.

Groups count alike, however many cells they have. A fit needs no cell, only the means and the second moments
of groups, so that many labellings cost little.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from layerscope.arrays import Floats, Ints
from layerscope.tasks.scored import NoScoreError, varying_columns

NO_TIME = -1


@dataclass(frozen=True)
class Moments:
    """Means of groups, shape ``(n_groups, n_axes)``, and mean products, ``(n_groups, n_axes, n_axes)``."""

    mean: Floats
    product: Floats

    @classmethod
    def of(cls, axes: Floats, group: Ints, n_groups: int) -> Moments:
        """Moments of the groups; zeros for one without cells."""
        order = np.argsort(group, kind="stable")
        bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
        parts = [axes[order[start:end]] for start, end in pairwise(bounds)]
        mean = np.array([part.mean(axis=0) if len(part) else np.zeros(axes.shape[1]) for part in parts])
        return cls(mean, np.array([part.T @ part / max(len(part), 1) for part in parts]))


def principal_axes(vectors: Floats, n_axes: int) -> Floats:
    """Coordinates of cells on the leading axes of their standardised columns; labels play no part."""
    spread = vectors.std(axis=0)
    varying = varying_columns(vectors)
    if not varying.any():
        raise NoScoreError("undefined", "constant layer: every cell has the same embedding")
    standard = (vectors[:, varying] - vectors[:, varying].mean(axis=0)) / spread[varying]
    n_cells, width = standard.shape
    if width <= n_axes:
        return np.asarray(standard)
    n_axes, of_cells = min(n_axes, n_cells), n_cells < width  # the smaller of the two tables of products
    products = standard @ standard.T if of_cells else standard.T @ standard
    size = len(products)
    values, directions = eigh(products, subset_by_index=[size - n_axes, size - 1], overwrite_a=True)
    axes = directions * np.sqrt(np.maximum(values, 0)) if of_cells else standard @ directions
    return np.asarray(axes[:, ::-1])


def predicted_times(
    moments: Moments,
    ranks: Ints,
    fold: Ints,
    penalty: float,
    weight: Floats | None = None,
    left_out: int = NO_TIME,
) -> Floats:
    """Mean predicted time of every group, by a fit to the groups of all other folds; shape of ``ranks``.

    ``ranks`` are times of the groups, ``(n_groups,)`` or ``(n_labellings, n_groups)``, ``fold`` the part of
    each group, ``weight`` how often it trains. Groups of the time ``left_out`` train nothing. NaN where
    nothing is left to learn from.
    """
    table = np.atleast_2d(ranks).astype(np.float64)
    predicted = np.full(table.shape, np.nan)
    n_axes = moments.mean.shape[1]
    weight = np.ones(table.shape[1]) if weight is None else weight
    for part in np.unique(fold):
        train = (fold != part) & (table[0] != left_out) & (weight > 0)
        if len(np.unique(table[:, train])) < 2:
            continue
        share = weight[train] / weight[train].sum()
        mean = share @ moments.mean[train]
        covariance = np.tensordot(share, moments.product[train], 1) - np.outer(mean, mean)
        strength = penalty * np.trace(covariance) / n_axes
        if not strength > 0:
            continue
        factor = cho_factor(covariance + strength * np.eye(n_axes))
        times = table[:, train]
        mean_time = times @ share
        centred = (times - mean_time[:, None]) * share
        slopes = cho_solve(factor, (moments.mean[train] - mean).T @ centred.T)
        tested = fold == part
        predicted[:, tested] = ((moments.mean[tested] - mean) @ slopes).T + mean_time[:, None]
    return predicted.reshape(np.shape(ranks))
