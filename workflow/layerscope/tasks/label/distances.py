"""What distances between cells say of their labels: votes of the nearest neighbours, and silhouettes.

Distances are computed block by block and used for all labellings at once; no table of all of them is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.measures import Labellings

BLOCK_VALUES = 8_000_000
LISTED_PER_VOTE = 4
"""Neighbours listed for every vote, since a resample leaves some out."""


def votes(vectors: Floats, labellings: Labellings, folds: Ints, n_neighbours: int, metric: str) -> Ints:
    """Types that the nearest cells of all other folds vote for, ``(n_labellings, n_cells)``.

    A cell votes as often as its weight, a whole number; of equal types the one with the nearest cell wins.
    """
    nearest = _listed(vectors, folds, n_neighbours, metric)
    n_listed = nearest.shape[1]
    voted = np.empty(labellings.types.shape, dtype=np.intp)
    for row, labels, weight in zip(voted, labellings.types, labellings.weights, strict=True):
        cast = _cast(weight[nearest], n_neighbours)
        score = np.empty((len(nearest), labellings.n_types))
        for kind in range(labellings.n_types):
            own = np.where(labels[nearest] == kind, cast, 0)
            first = np.where(own.any(axis=1), (own > 0).argmax(axis=1), n_listed)
            score[:, kind] = own.sum(axis=1) - first / (n_listed + 1)
        row[:] = score.argmax(axis=1)
    return voted


def silhouettes(vectors: Floats, labellings: Labellings, metric: str) -> Floats:
    """Silhouettes (Rousseeuw 1987), ``(n_labellings, n_cells)``; 0 for a cell whose type no other cell has.

    (b - a) / max(a, b): ``a`` is a cell's mean distance to the other cells of its type, ``b`` that to the
    cells of the nearest other type. A cell counts as often as its weight.
    """
    types, n_types = labellings.types, labellings.n_types
    member = (types[:, :, None] == np.arange(n_types)) * labellings.weights[:, :, None]
    stacked = member.transpose(1, 0, 2).reshape(len(vectors), -1)
    values = np.empty(types.shape)
    for rows, distances in distance_blocks(vectors, metric):
        sums = (distances @ stacked).reshape(len(distances), len(types), n_types).transpose(1, 0, 2)
        sizes = np.repeat(member.sum(axis=1)[:, None], len(distances), axis=1) - member[:, rows]
        own = types[:, rows, None]
        means = sums / np.where(sizes > 0, sizes, np.nan)
        inner = np.take_along_axis(means, own, axis=2)[:, :, 0]
        np.put_along_axis(means, own, np.inf, axis=2)
        outer = np.fmin.reduce(means, axis=2)
        larger = np.fmax(inner, outer)
        defined = np.isfinite(inner) & np.isfinite(outer) & (larger > 0)
        values[:, rows] = np.where(defined, (outer - inner) / np.where(defined, larger, 1), 0.0)
    return values


class NeighbourShares:
    """Shares of the labels among each cell's nearest neighbours of other folds, for many labellings."""

    def __init__(self, vectors: Floats, folds: Ints, n_neighbours: int, metric: str) -> None:
        self._votes = n_neighbours
        self._nearest = _listed(vectors, folds, n_neighbours, metric)

    def __call__(self, types: Ints, n_types: int, weight: Floats | None = None) -> Floats:
        """Shares of every label, shape ``(n_labellings, n_cells, n_types)``; all alike without any."""
        nearest = self._nearest if weight is not None else self._nearest[:, : self._votes]
        votes = _cast(np.ones(nearest.shape) if weight is None else weight[nearest], self._votes)
        labels = types[:, nearest]
        counts = np.stack([((labels == kind) * votes).sum(axis=2) for kind in range(n_types)], axis=2)
        cast = votes.sum(axis=1)[:, None]
        return np.asarray(np.where(cast > 0, counts / np.where(cast > 0, cast, 1), 1 / n_types))


def _listed(vectors: Floats, folds: Ints, n_neighbours: int, metric: str) -> Ints:
    """The nearest cells of other folds, from near to far, ``(n_cells, n_listed)``."""
    fewest = len(vectors) - int(np.bincount(folds).max())
    nearest = np.empty((len(vectors), min(LISTED_PER_VOTE * n_neighbours, fewest)), dtype=np.intp)
    for rows, distances in distance_blocks(vectors, metric):
        distances[folds[rows, None] == folds] = np.inf
        nearest[rows] = _smallest(distances, nearest.shape[1])
    return nearest


def _cast(weights: Floats, n_votes: int) -> Floats:
    """Votes of cells from near to far, each as many as its weight, until all are cast."""
    before = np.cumsum(weights, axis=1) - weights
    return np.asarray(np.clip(n_votes - before, 0, weights))


def distance_blocks(vectors: Floats, metric: str) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of rows and their distances to all cells, shape ``(n_rows, n_cells)``.

    With ``"cosine"`` a cell without any value has cosine 0 with all others.
    """
    if metric == "cosine":
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(lengths > 0, lengths, 1)
    # moving all cells alike changes no distance and keeps the digits
    placed = vectors - vectors.mean(axis=0)
    squares = (placed**2).sum(axis=1)
    block = max(1, BLOCK_VALUES // len(vectors))
    for start in range(0, len(vectors), block):
        rows = slice(start, min(start + block, len(vectors)))
        squared = placed[rows] @ placed.T
        squared *= -2
        squared += squares[rows, None] + squares
        np.maximum(squared, 0, out=squared)
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = 0
        yield rows, np.sqrt(squared) if metric == "euclidean" else squared / 2


def _smallest(distances: Floats, n: int) -> Ints:
    """Columns of the ``n`` smallest values of each row, in their order."""
    columns = np.sort(np.argpartition(distances, n - 1, axis=1)[:, :n], axis=1)
    order = np.argsort(np.take_along_axis(distances, columns, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(columns, order, axis=1))
