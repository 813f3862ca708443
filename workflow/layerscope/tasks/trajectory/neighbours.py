"""Exact nearest neighbours of a layer's cells, of their variation, and within parts of the cells.

Products of cells give squared distances in float32. The nearest few are candidates, whose distances are
computed again from differences, which cancel nothing. Where rounding could have hidden a neighbour, the
products of that cell are computed again in float64 and every cell as near as the last neighbour is looked at:
the result is exact. Cells that a layer's own rounding could part are equally near, so that no processor's
rounding ranks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floating, Floats, Integers
from layerscope.errors import DataError

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")
Indices = npt.NDArray[np.int64]
BLOCK = 2500
EXTRA_CANDIDATES = 4
ROUNDING_ERROR = 80
"""Error of squared distances from products, in units of the squared norm and of the epsilon of the float."""
BLUR = 1e-6
"""Rounding of a layer's values, as a share of a cell's length (between processors up to 7e-7 is measured)."""
BLOCK_VALUES = 1 << 23  # values held at once beside the points
CACHED_VALUES = 200_000  # differences held at once, few enough for a core's cache


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours of every cell, itself first, then by distance, ties up to rounding by index."""

    indices: Indices  # shape ``(n_cells, k)``, int64
    distances: npt.NDArray[np.float32]  # of the same shape, float32; Euclidean, or 1 - cosine similarity

    def first(self, k: int) -> Neighbours:
        """The ``k`` nearest of these: what a search for ``k`` finds."""
        return Neighbours(self.indices[:, :k], self.distances[:, :k])


def nearest_neighbours(matrix: npt.ArrayLike, k: int, metric: Metric = "cosine") -> Neighbours:
    """Find the ``k`` nearest cells of every cell exactly, the cell itself counted as the first.

    So 15 means 14 others, as ``n_neighbors`` of scanpy and UMAP. For ``"cosine"``, a cell without any value
    is at distance 1 from all but its copies. Raises DataError for fewer than ``k`` cells or missing values.
    """
    return _search(_Points.of(_checked(matrix, k), metric == "cosine"), k, metric)


@dataclass(frozen=True)
class LayerNeighbours:
    """Neighbours among all cells, among all cells in the variation that the metric sees, and within parts."""

    whole: Neighbours
    varied: Neighbours
    parts: list[Neighbours]


def layer_neighbours(
    matrix: npt.ArrayLike, k: int, metric: Metric, parts: Sequence[Integers], k_of_parts: int
) -> LayerNeighbours:
    """Search a layer, its variation, and parts of its cells."""
    values = _checked(matrix, k)
    points = _Points.of(values, metric == "cosine")
    shift = values.mean(axis=0, dtype=np.float64) if metric == "cosine" else 0.0
    return LayerNeighbours(
        whole=_search(points, k, metric),
        varied=_search(_Points.of(values, unit=True, shift=shift), k, metric),
        parts=[_search(points.among(cells), k_of_parts, metric) for cells in parts],
    )


def _checked(matrix: npt.ArrayLike, k: int) -> Floating:
    values = np.asarray(matrix)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if len(values) < k:
        raise DataError(f"{k} neighbours asked for, but there are only {len(values)} cells")
    if not np.isfinite(values).all():
        raise DataError("neighbours need finite values: leave refused cells out")
    return values


@dataclass(frozen=True)
class _Points:
    """Cells as points: their vectors, or unit vectors, whose squared distance is twice 1 - cosine.

    They are centred, which changes no distance and keeps the digits of products where all point one way.
    """

    at: npt.NDArray[np.float32]
    """Shape ``(n_cells, n_columns)``; a column more where a cell has no direction."""
    norms: Floats  # squared norms of the points
    undirected: Bools
    """Cells at distance 1 from all others by definition: those whose direction is rounding."""
    blur: Floats  # how far rounding of the layer's values may have moved the points

    @classmethod
    def of(cls, values: Floating, unit: bool, shift: Floating | float = 0.0) -> Self:
        """Make the points of cells, from whose vectors ``shift`` is subtracted first."""
        blocks = list(_blocks(len(values), values.shape[1], CACHED_VALUES))

        def vectors(rows: slice) -> Floats:
            return values[rows].astype(np.float64) - shift

        lengths = np.concatenate([np.linalg.norm(vectors(rows), axis=1) for rows in blocks])
        blur = BLUR * np.linalg.norm(values, axis=1).astype(np.float64)
        undirected = (lengths <= blur) & unit
        scale = np.where(undirected | (not unit), 1, lengths)[:, None]
        centre = np.sum([(vectors(rows) / scale[rows]).sum(axis=0) for rows in blocks], axis=0) / len(values)
        at = np.zeros((len(values), values.shape[1] + int(undirected.any())), dtype=np.float32)
        for rows in blocks:
            at[rows, : values.shape[1]] = vectors(rows) / scale[rows] - centre
        if undirected.any():
            at[undirected] = [*-centre, 1]  # points where no other cell does
        norms = np.einsum("ij,ij->i", at, at, dtype=np.float64)
        return cls(at, norms, undirected, blur / scale[:, 0])

    def among(self, cells: Integers) -> _Points:
        """Some of the points."""
        return _Points(self.at[cells], self.norms[cells], self.undirected[cells], self.blur[cells])

    def squared(self, rows: Indices, columns: Indices, precision: type[np.floating] = np.float32) -> Floating:
        """Squared distances between points, from products."""
        here, there = (-2 * self.at[rows]).astype(precision), self.at[columns].astype(precision)
        squared = here @ there.T
        squared += self.norms[rows, None].astype(precision)
        squared += self.norms[columns].astype(precision)
        return squared

    def distances(self, rows: Indices, candidates: Indices) -> Floating:
        """Distances of some points from candidates of each, from differences; of the point itself -1."""
        squared = np.empty(candidates.shape)
        for block in _blocks(len(rows), candidates.shape[1] * self.at.shape[1], CACHED_VALUES):
            differences = self.at[candidates[block]]
            differences -= self.at[rows[block], None]
            # summed in float64, so that one processor's order of summation gives what another's does
            squared[block] = np.square(differences, out=differences).sum(axis=2, dtype=np.float64)
        squared[self.undirected[candidates] != self.undirected[rows, None]] = 2
        return np.where(candidates == rows[:, None], -1, np.sqrt(squared))

    def ranked(
        self, rows: Indices, candidates: Indices, distances: Floating, k: int
    ) -> tuple[Indices, Floating]:
        """The ``k`` nearest candidates of each point and their distances; the point itself first, at 0.

        Candidates that are no farther than rounding from the nearest of a group are as near as that one.
        """
        order = np.argsort(distances, axis=1, kind="stable")
        candidates = np.take_along_axis(candidates, order, axis=1)
        distances = np.take_along_axis(distances, order, axis=1)
        distances[:, 0] = 0
        for column in range(1, distances.shape[1]):
            blur = self.blur[rows] + self.blur[candidates[:, column]]
            nearer, here = distances[:, column - 1], distances[:, column]
            distances[:, column] = np.where(here - nearer > blur, here, nearer)
        by_index = candidates.copy()
        by_index[:, 0] = -1
        order = np.lexsort((by_index, distances), axis=1)[:, :k]
        return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _search(points: _Points, k: int, metric: Metric) -> Neighbours:
    """Neighbours among the candidates, and among all points where rounding could have hidden one."""
    everyone = np.arange(len(points.at))
    candidates, farthest = _candidates(points, min(k + EXTRA_CANDIDATES, len(everyone)))
    distances = points.distances(everyone, candidates)
    indices, ranked = points.ranked(everyone, candidates, distances, k)
    if candidates.shape[1] < len(everyone):
        # a neighbour is no farther than the last one listed, by products of either precision
        last = np.partition(distances, k - 1, axis=1)[:, k - 1]
        last = (last + points.blur + points.blur.max()) ** 2 * (1 + 1e-5)
        error = ROUNDING_ERROR * points.norms
        unsure = np.flatnonzero(farthest <= last + error * np.finfo(np.float32).eps)
        for block in _blocks(len(unsure), len(everyone)):
            rows = unsure[block]
            columns = (everyone[some] for some in _blocks(*points.at.shape))
            fine = np.hstack([points.squared(rows, some, np.float64) for some in columns])
            within = (last + error * np.finfo(np.float64).eps)[rows, None]
            for row, near in zip(rows[:, None], fine <= within, strict=True):
                nearby = np.flatnonzero(near)[None]
                indices[row], ranked[row] = points.ranked(row, nearby, points.distances(row, nearby), k)
    return Neighbours(indices, (ranked**2 / 2 if metric == "cosine" else ranked).astype(np.float32))


def _candidates(points: _Points, n: int) -> tuple[Indices, Floating]:
    """The ``n`` nearest points of each by products, itself among them, and how far the farthest is."""
    nearest = np.full((len(points.at), n), np.inf, dtype=np.float32)
    candidates = np.zeros(nearest.shape, dtype=np.int64)

    def offer(rows: Indices, columns: Indices, squared: Floating) -> None:
        near = np.argpartition(squared, min(n, len(columns)) - 1, axis=1)[:, :n]
        distances = np.hstack([nearest[rows], np.take_along_axis(squared, near, axis=1)])
        offered = np.hstack([candidates[rows], columns[near]])
        best = np.argpartition(distances, n - 1, axis=1)[:, :n]
        nearest[rows] = np.take_along_axis(distances, best, axis=1)
        candidates[rows] = np.take_along_axis(offered, best, axis=1)

    blocks = np.array_split(np.arange(len(points.at)), -(-len(points.at) // BLOCK))
    for rows, columns in combinations_with_replacement(blocks, 2):
        squared = points.squared(rows, columns)
        if rows is columns:
            np.fill_diagonal(squared, -1)
        else:
            offer(columns, rows, squared.T)
        offer(rows, columns, squared)
    return candidates, nearest.max(axis=1)


def _blocks(n_rows: int, n_columns: int, n_values: int = BLOCK_VALUES) -> Iterator[slice]:
    """Consecutive rows, so many that ``n_values`` values are held at once."""
    per_block = max(1, n_values // max(n_columns, 1))
    for start in range(0, n_rows, per_block):
        yield slice(start, start + per_block)
