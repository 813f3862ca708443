"""Exact nearest neighbours of a layer's cells, of the same cells centred, and within parts of the cells.

Products of blocks of cells with all cells give squared distances in float32, and with terms of rank one those
between the same cells centred. The nearest few are candidates, whose distances are computed again from
differences, which cancel nothing. Where rounding could have hidden a neighbour, the products of that cell are
computed again in float64 and every cell as near as the last neighbour is looked at: the result is exact.
Cells that a layer's own rounding could part are equally near, so that no processor's rounding ranks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")
Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]
BLOCK = 2500
EXTRA_CANDIDATES = 4
GROUP = 8  # columns of a group when the smallest values of a row are looked for
ROUNDING_ERROR = 80
"""Error of squared distances from products, in units of the squared norm and of the epsilon of the float."""
BLUR = 1e-6
"""Rounding of a layer's values, as a share of a cell's length (between processors up to 7e-7 is measured)."""
LARGEST_RATIO = 8.0
"""Largest ratio of lengths at which float32 distances of cells still tell those of the centred cells."""
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
    matrix: npt.ArrayLike, k: int, metric: Metric, parts: Sequence[npt.NDArray[np.integer]], k_of_parts: int
) -> LayerNeighbours:
    """Search a layer, its variation, and parts of its cells.

    The variation is the layer centred for cosine distances, and the cells at unit length for Euclidean ones.
    ``parts`` are rising indices; neighbours in a part, ``k_of_parts`` of each cell, are places in the part.
    """
    values = _checked(matrix, k)
    points = _Points.of(values, metric == "cosine")
    of_parts = [_search(points.among(cells), k_of_parts, metric) for cells in parts]
    if metric == "euclidean":
        whole, varied = _search(points, k, metric), _search(_Points.of(values, unit=True), k, metric)
    else:
        centred = _Points.of(values, unit=True, shift=values.mean(axis=0, dtype=np.float64))
        whole, varied = _search_centred(points, centred, k)
    return LayerNeighbours(whole, varied, of_parts)


def _checked(matrix: npt.ArrayLike, k: int) -> Floats:
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
    norms: npt.NDArray[np.float64]  # squared norms of the points
    lengths: npt.NDArray[np.float64]  # lengths of the cells' vectors
    undirected: npt.NDArray[np.bool_]
    """Cells at distance 1 from all others by definition: those whose direction is rounding."""
    blur: npt.NDArray[np.float64]  # how far rounding of the layer's values may have moved the points

    @classmethod
    def of(cls, values: Floats, unit: bool, shift: Floats | float = 0.0) -> Self:
        """Make the points of cells, from whose vectors ``shift`` is subtracted first."""
        blocks = list(_blocks(len(values), values.shape[1], CACHED_VALUES))

        def vectors(rows: slice) -> npt.NDArray[np.float64]:
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
        return cls(at, norms, lengths, undirected, blur / scale[:, 0])

    def among(self, cells: npt.NDArray[np.integer]) -> _Points:
        """Some of the points."""
        return _Points(
            self.at[cells], self.norms[cells], self.lengths[cells], self.undirected[cells], self.blur[cells]
        )

    def squared(self, rows: Indices, columns: Indices, precision: type[np.floating] = np.float32) -> Floats:
        """Squared distances between points, from products."""
        here, there = (-2 * self.at[rows]).astype(precision), self.at[columns].astype(precision)
        squared = here @ there.T
        squared += self.norms[rows, None].astype(precision)
        squared += self.norms[columns].astype(precision)
        return squared

    def distances(self, rows: Indices, candidates: Indices) -> Floats:
        """Distances of some points from candidates of each, from differences; of the point itself -1."""
        squared = np.empty(candidates.shape)
        for block in _blocks(len(rows), candidates.shape[1] * self.at.shape[1], CACHED_VALUES):
            differences = self.at[candidates[block]]
            differences -= self.at[rows[block], None]
            # summed in float64, so that one processor's order of summation gives what another's does
            squared[block] = np.square(differences, out=differences).sum(axis=2, dtype=np.float64)
        squared[self.undirected[candidates] != self.undirected[rows, None]] = 2
        return np.where(candidates == rows[:, None], -1, np.sqrt(squared))

    def ranked(self, rows: Indices, candidates: Indices, distances: Floats, k: int) -> tuple[Indices, Floats]:
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


class _Centring:
    """Squared distances of unit vectors after centring the layer, from those before.

    Two cells of lengths s and s', t and t' after centring, are ``|x - x'|^2 = s s' d^2 + (s - s')^2`` apart,
    centred or not, where d is the distance of their unit vectors. So after centring it is
    ``(s s' d^2 + (s - s')^2 - (t - t')^2) / (t t')``: the distances before, scaled, and terms of rank one.
    ``ratio`` is the largest length in the formula over a cell's length after centring; errors grow with its
    square.
    """

    def __init__(self, plain: _Points, centred: _Points) -> None:
        # (s - s')^2 - (t - t')^2 as a product of differences, which cancels little
        difference, total = plain.lengths - centred.lengths, plain.lengths + centred.lengths
        difference, total = difference - difference.mean(), total - total.mean()
        largest = plain.lengths * np.sqrt(plain.norms) + np.abs(difference) + np.abs(total)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / centred.lengths
            self._scale = (plain.lengths * inverse).astype(np.float32)
            self.ratio = float((largest * inverse).max())
            terms = np.array([difference * total, difference, total, np.ones(len(total))]) * inverse
        self._left = (terms.T * [1, -1, -1, 1]).astype(np.float32)
        self._right = terms[::-1].astype(np.float32)

    def __call__(self, rows: Indices, columns: Indices, squared: Floats) -> Floats:
        """Restate the squared distances between some cells."""
        restated = squared * self._scale[rows, None]
        restated *= self._scale[columns]
        restated += self._left[rows] @ self._right[:, columns]
        return restated


def _search(points: _Points, k: int, metric: Metric) -> Neighbours:
    lists = _Lists(points, k)
    for rows, columns in _pairs(len(points.at)):
        lists.offer(rows, columns, points.squared(rows, columns))
    return lists.neighbours(metric)


def _search_centred(plain: _Points, centred: _Points, k: int) -> tuple[Neighbours, Neighbours]:
    """Cosine neighbours of a layer and of the layer centred, from the same products where float32 allows."""
    restate = _Centring(plain, centred)
    if not restate.ratio <= LARGEST_RATIO:  # or NaN, where a cell has no length
        return _search(plain, k, "cosine"), _search(centred, k, "cosine")
    of_plain, of_centred = _Lists(plain, k), _Lists(centred, k, 2 * restate.ratio**2)
    for rows, columns in _pairs(len(plain.at)):
        squared = plain.squared(rows, columns)
        of_centred.offer(rows, columns, restate(rows, columns, squared))
        of_plain.offer(rows, columns, squared)
    return of_plain.neighbours("cosine"), of_centred.neighbours("cosine")


def _pairs(n_points: int) -> Iterator[tuple[Indices, Indices]]:
    """Every pair of blocks of points, once."""
    blocks = np.array_split(np.arange(n_points), -(-n_points // BLOCK))
    for number, rows in enumerate(blocks):
        for columns in blocks[number:]:
            yield rows, columns


class _Lists:
    """The nearest candidates of every point; rough distances err by ``more_error`` more than the norms."""

    def __init__(self, points: _Points, k: int, more_error: float = 0.0) -> None:
        self._points, self._k = points, k
        self._error = ROUNDING_ERROR * (points.norms + more_error)
        shape = len(points.at), min(k + EXTRA_CANDIDATES, len(points.at))
        self._rough = np.full(shape, np.inf, dtype=np.float32)
        self._candidates = np.zeros(shape, dtype=np.int64)

    def offer(self, rows: Indices, columns: Indices, rough: Floats) -> None:
        """Offer the squared distances between two blocks of points to the lists of both."""
        if rows[0] == columns[0]:
            np.fill_diagonal(rough, -1)  # every point is its own first
        else:
            self._keep(columns, rows, rough.T)
        self._keep(rows, columns, rough)

    def _keep(self, rows: Indices, columns: Indices, rough: Floats) -> None:
        n = self._rough.shape[1]
        near = _smallest(rough, min(n, len(columns)))
        nearest = np.hstack([self._rough[rows], np.take_along_axis(rough, near, axis=1)])
        candidates = np.hstack([self._candidates[rows], columns[near]])
        best = np.argpartition(nearest, n - 1, axis=1)[:, :n]
        self._rough[rows] = np.take_along_axis(nearest, best, axis=1)
        self._candidates[rows] = np.take_along_axis(candidates, best, axis=1)

    def neighbours(self, metric: Metric) -> Neighbours:
        """Neighbours among the candidates, and among all points where rounding could have hidden one."""
        points, everyone = self._points, np.arange(len(self._points.at))
        distances = points.distances(everyone, self._candidates)
        indices, ranked = points.ranked(everyone, self._candidates, distances, self._k)
        if self._rough.shape[1] < len(everyone):
            # a neighbour is no farther than the last one listed, by products of either precision
            last = np.partition(distances, self._k - 1, axis=1)[:, self._k - 1]
            last = (last + points.blur + points.blur.max()) ** 2 * (1 + 1e-5)
            error = self._error * np.finfo(np.float32).eps
            unsure = np.flatnonzero(self._rough.max(axis=1) <= last + error)
            for block in _blocks(len(unsure), len(everyone)):
                rows = unsure[block]
                columns = (everyone[columns] for columns in _blocks(*points.at.shape))
                fine = np.hstack([points.squared(rows, some, np.float64) for some in columns])
                within = (last + self._error * np.finfo(np.float64).eps)[rows, None]
                for row, near in zip(rows[:, None], fine <= within, strict=True):
                    candidates = np.flatnonzero(near)[None]
                    distances = points.distances(row, candidates)
                    indices[row], ranked[row] = points.ranked(row, candidates, distances, self._k)
        return Neighbours(indices, (ranked**2 / 2 if metric == "cosine" else ranked).astype(np.float32))


def _smallest(values: Floats, n: int) -> Indices:
    """Columns of the ``n`` smallest values of each row, looked for in the groups with the smallest ones."""
    width = values.shape[1]
    n_groups = -(-width // GROUP)
    if n_groups < 4 * n:
        return np.argpartition(values, n - 1, axis=1)[:, :n]
    least = values[:, :n_groups].copy(order="K")
    for start in range(n_groups, width, n_groups):
        part = least[:, : width - start]
        np.minimum(part, values[:, start : start + n_groups], out=part)
    groups = np.argpartition(least, n - 1, axis=1)[:, :n]
    columns = (groups[:, :, None] + n_groups * np.arange(GROUP)).reshape(len(values), -1)
    few = np.take_along_axis(values, np.minimum(columns, width - 1), axis=1)
    few[columns >= width] = np.inf
    return np.take_along_axis(columns, np.argpartition(few, n - 1, axis=1)[:, :n], axis=1)


def _blocks(n_rows: int, n_columns: int, n_values: int = BLOCK_VALUES) -> Iterator[slice]:
    """Consecutive rows, so many that ``n_values`` values are held at once."""
    per_block = max(1, n_values // max(n_columns, 1))
    for start in range(0, n_rows, per_block):
        yield slice(start, start + per_block)
