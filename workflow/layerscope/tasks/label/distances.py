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


def neighbours_and_silhouettes(
    vectors: Floats, labellings: Labellings, folds: Ints, n_neighbours: int, metric: str
) -> tuple[Ints, Floats]:
    """Types that the nearest neighbours vote for, and silhouettes; both ``(n_labellings, n_cells)``.

    Neighbours are the nearest cells of all other folds, a vote each; of equal types the one with the nearest
    cell wins. The silhouette (Rousseeuw 1987) is (b - a) / max(a, b): ``a`` is a cell's mean distance to the
    other cells of its type, ``b`` that to the cells of the nearest other type. A cell counts as often as its
    weight, a whole number. With ``"cosine"`` a cell without any value has cosine 0 with all others.
    """
    n_cells = len(vectors)
    fewest = n_cells - int(np.bincount(folds).max())
    nearest = np.empty((n_cells, min(LISTED_PER_VOTE * n_neighbours, fewest)), dtype=np.intp)
    types, n_types = labellings.types, labellings.n_types
    member = (types[:, :, None] == np.arange(n_types)) * labellings.weights[:, :, None]
    stacked = member.transpose(1, 0, 2).reshape(n_cells, -1)
    silhouettes = np.empty(types.shape)
    for rows, distances in distance_blocks(vectors, metric):
        sums = (distances @ stacked).reshape(len(distances), len(types), n_types).transpose(1, 0, 2)
        sizes = np.repeat(member.sum(axis=1)[:, None], len(distances), axis=1) - member[:, rows]
        silhouettes[:, rows] = _silhouettes(sums, types[:, rows], sizes)
        distances[folds[rows, None] == folds] = np.inf
        nearest[rows] = _smallest(distances, nearest.shape[1])
    voted = [
        _votes(labels[nearest], weight[nearest], n_types, n_neighbours)
        for labels, weight in zip(types, labellings.weights, strict=True)
    ]
    return np.array(voted), silhouettes


class NeighbourShares:
    """Shares of the labels among each cell's nearest neighbours of other folds, for many labellings."""

    def __init__(self, vectors: Floats, folds: Ints, n_neighbours: int, metric: str) -> None:
        fewest = len(vectors) - int(np.bincount(folds).max())
        self._votes = n_neighbours
        self._nearest = np.empty((len(vectors), min(LISTED_PER_VOTE * n_neighbours, fewest)), dtype=np.intp)
        for rows, distances in distance_blocks(vectors, metric):
            distances[folds[rows, None] == folds] = np.inf
            self._nearest[rows] = _smallest(distances, self._nearest.shape[1])

    def __call__(self, types: Ints, n_types: int, weight: Floats | None = None) -> Floats:
        """Shares of every label, shape ``(n_labellings, n_cells, n_types)``; all alike without any."""
        nearest = self._nearest if weight is not None else self._nearest[:, : self._votes]
        weights = np.ones(nearest.shape) if weight is None else weight[nearest]
        before = np.cumsum(weights, axis=1) - weights
        votes = np.clip(self._votes - before, 0, weights)
        labels = types[:, nearest]
        counts = np.stack([((labels == kind) * votes).sum(axis=2) for kind in range(n_types)], axis=2)
        cast = votes.sum(axis=1)[:, None]
        return np.asarray(np.where(cast > 0, counts / np.where(cast > 0, cast, 1), 1 / n_types))


def distance_blocks(vectors: Floats, metric: str) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of rows and their distances to all cells, shape ``(n_rows, n_cells)``."""
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


def _votes(labels: Ints, weights: Floats, n_types: int, n_neighbours: int) -> Ints:
    """Commonest type among neighbours, near to far, until all votes are cast; ties go to the nearest."""
    before = np.cumsum(weights, axis=1) - weights
    votes = np.clip(n_neighbours - before, 0, weights)
    score = np.empty((len(labels), n_types))
    for kind in range(n_types):
        own = np.where(labels == kind, votes, 0)
        first = np.where(own.any(axis=1), (own > 0).argmax(axis=1), labels.shape[1])
        score[:, kind] = own.sum(axis=1) - first / (labels.shape[1] + 1)
    return np.asarray(score.argmax(axis=1))


def _silhouettes(sums: Floats, labels: Ints, sizes: Floats) -> Floats:
    """Silhouettes from summed distances to, and sizes of, the other cells of every type; 0 if alone."""
    own = labels[:, :, None]
    means = sums / np.where(sizes > 0, sizes, np.nan)
    inner = np.take_along_axis(means, own, axis=2)[:, :, 0]
    np.put_along_axis(means, own, np.inf, axis=2)
    outer = np.fmin.reduce(means, axis=2)
    larger = np.fmax(inner, outer)
    defined = np.isfinite(inner) & np.isfinite(outer) & (larger > 0)
    return np.asarray(np.where(defined, (outer - inner) / np.where(defined, larger, 1), 0.0))
