"""Exact nearest neighbours, the same for every number of threads.

Products of centred vectors in float32 (``candidates``, or a GPU) find candidates;
the candidates' distances are computed again from differences (which cancel nothing), and cells for which
float32 products could have hidden a neighbour are searched once more in float64. Cells with identical values
are searched once. Centring changes no distance and keeps the digits: a layer's vectors often point almost the
same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError
from layerscope.tasks.trajectory import neighbours_gpu
from layerscope.tasks.trajectory.candidates import DOUBT, Candidates, find_candidates
from layerscope.tasks.trajectory.points import CentredChords, Points
from layerscope.tasks.trajectory.threads import blas_threads, in_threads

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")
EXTRA_CANDIDATES = 4
TELLING_COLUMNS = 16
"""Columns that mostly suffice to see that all rows differ."""
HELD_VALUES = 4_000_000
"""Values held at once beside the points themselves."""


@dataclass(frozen=True)
class Neighbours:
    """Nearest neighbours of every cell, itself first.

    Attributes
    ----------
    indices
        Shape ``(n_cells, k)``, int64; column 0 is the cell itself, then by distance, ties by index.
    distances
        Shape ``(n_cells, k)``, float32; Euclidean, or 1 - cosine similarity.
    """

    indices: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]

    def first(self, k: int) -> Neighbours:
        """The ``k`` nearest of these: what a search for ``k`` finds."""
        return Neighbours(self.indices[:, :k], self.distances[:, :k])


@dataclass(frozen=True)
class Wanted:
    """A search among some of the cells.

    Attributes
    ----------
    cells
        Their rising indices.
    k
        Neighbours per cell, itself included; more than 1, at most the number of these cells.
    centred
        Whether the mean of these cells is subtracted first.
    rough
        Whether distances may err by some units in the last place of the cells' float32 vectors, and what is
        nearer than that be mistaken: several times faster for a few thousand cells.
    """

    cells: npt.NDArray[np.int64]
    k: int
    centred: bool = False
    rough: bool = False


def nearest_neighbours(
    matrix: npt.ArrayLike, k: int, metric: Metric = "cosine", threads: int = 1
) -> Neighbours:
    """Find the ``k`` nearest cells of every cell exactly, the cell itself counted as the first.

    ``k`` counts the cell itself, as ``n_neighbors`` of scanpy and UMAP does: k = 15 means 14 others.
    Parameters and errors are those of :func:`search_neighbours`.
    """
    values = np.asarray(matrix)
    (found,) = search_neighbours(values, [Wanted(np.arange(len(values)), k)], metric, threads)
    return found


def search_neighbours(
    matrix: npt.ArrayLike, wanted: Sequence[Wanted], metric: Metric = "cosine", threads: int = 1
) -> list[Neighbours]:
    """Carry out several searches among the same cells, which costs little more than the largest of them.

    Parameters
    ----------
    matrix
        Cells x features, finite.
    wanted
        The searches.
    metric
        ``"cosine"`` (a cell without any value is at distance 1 from all but its duplicates) or
        ``"euclidean"``.
    threads
        Threads of the search. The result does not depend on it.

    Returns
    -------
    Neighbours as places among the cells of each search.

    Raises
    ------
    DataError
        If there are fewer than ``k`` cells, or a value is not finite.
    ValueError
        If ``metric`` or a ``k`` is none of the above.
    """
    values = np.ascontiguousarray(matrix)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    for one in wanted:
        if metric not in METRICS or one.k < 2:
            raise ValueError(f"no neighbours for metric {metric!r} and k = {one.k}")
        if len(one.cells) < one.k:
            raise DataError(f"{one.k} neighbours asked for, but there are only {len(one.cells)} cells")
    if not np.isfinite(values).all():
        raise DataError("neighbours need finite values: leave refused cells out")
    first, copy_of = _distinct_rows(values)
    distinct = values if len(first) == len(values) else values[first]
    plain = Points(distinct, unit=metric == "cosine")
    searches = [_Search(one, values, distinct, copy_of, plain, metric) for one in wanted]
    rough, exact = ([one for one in searches if one.rough is asked] for asked in (True, False))
    # products on one thread each, so that their sums do not depend on the number of threads
    with blas_threads(1):
        roughly = in_threads(_Search.rough_neighbours, rough, threads)
        candidates = zip(exact, _candidates(exact, plain, threads), strict=True)
        exactly = (one.neighbours(*near, threads) for one, near in candidates)
        return [next(roughly) if one.rough else next(exactly) for one in searches]


def _distinct_rows(
    values: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Index of the first cell of each distinct row, in order; and for each cell which distinct row it has."""
    if len(np.unique(_as_bytes(values[:, :TELLING_COLUMNS]))) == len(values):
        return np.arange(len(values)), np.arange(len(values))
    _, first, code = np.unique(_as_bytes(values), return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))
    return np.sort(first), place[code]


def _as_bytes(values: npt.NDArray[np.floating]) -> npt.NDArray[np.void]:
    """Every row as one item that compares equal to equal rows; -0 is made 0."""
    rows = np.ascontiguousarray(values + 0.0)
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


class _Search:
    """One search: among which distinct rows, as which points.

    Attributes
    ----------
    points
        All distinct rows as points.
    members
        Rising indices of the points searched among.
    rough
        Whether float32 products are all that is asked for.
    n_candidates
        Candidates needed for each of them.
    restate
        Distances of these points from those of the rows as they are; None where they are the same, or where
        float32 does not carry that far.
    """

    def __init__(
        self,
        wanted: Wanted,
        values: npt.NDArray[np.floating],
        distinct: npt.NDArray[np.floating],
        copy_of: npt.NDArray[np.int64],
        plain: Points,
        metric: Metric,
    ) -> None:
        self._k, self._cosine = wanted.k, metric == "cosine"
        self.rough = wanted.rough
        self.members, first, copies = np.unique(copy_of[wanted.cells], return_index=True, return_inverse=True)
        # ties go by the first cell that has a row, counted among the cells of this search
        self._first, self._copy_of = first, copies
        self._n = min(wanted.k, len(first))
        self.n_candidates = min(self._n + EXTRA_CANDIDATES, len(first))
        self.points, self.restate = plain, None
        if wanted.centred and self._cosine:
            inside = np.zeros((len(values), 1), dtype=bool)
            inside[wanted.cells] = True
            self.points = Points(distinct, True, values.mean(axis=0, dtype=np.float64, where=inside))
            if len(first) == len(distinct):
                self.restate = CentredChords.of(plain, self.points)
        self._doubt = DOUBT * self.points.norms[self.members]
        if self.restate:
            self._doubt += 2 * DOUBT * self.restate.ratio**2

    def rough_neighbours(self) -> Neighbours:
        """Neighbours from float32 products alone, which are all held at once."""
        here = self.points.at[self.members]
        norms = self.points.norms[self.members].astype(np.float32)
        squared = here @ here.T
        squared *= -2
        squared += norms[:, None]
        squared += norms
        np.fill_diagonal(squared, -1)
        near = np.argpartition(squared, self._n - 1, axis=1)[:, : self._n]
        of_near = np.take_along_axis(squared, near, axis=1).astype(np.float64)
        return self._expanded(*_sorted_first(self._first, self._first[near], near, of_near, self._n))

    def neighbours(
        self, rough: npt.NDArray[np.float32], near: npt.NDArray[np.integer], threads: int
    ) -> Neighbours:
        """Neighbours from candidates: squared distances, rising, and places among the members."""
        rows = np.arange(len(self.members))
        indices, squared = self._nearest(rows, near, threads)
        if self.n_candidates < len(rows):
            unsure = np.flatnonzero(rough[:, -1] - self._doubt <= squared[:, -1] * (1 + 1e-5))
            at_once = max(1, HELD_VALUES // len(rows))
            for start in range(0, unsure.size, at_once):
                some = unsure[start : start + at_once]
                indices[some], squared[some] = self._thorough(some)
        return self._expanded(indices, squared)

    def _expanded(self, indices: npt.NDArray[np.int64], squared: npt.NDArray[np.float64]) -> Neighbours:
        distances = squared / 2 if self._cosine else np.sqrt(squared)
        return _expand(indices, distances, self._first, self._copy_of, self._k)

    def _nearest(
        self, rows: npt.NDArray[np.int64], near: npt.NDArray[np.integer], threads: int = 1
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The nearest among candidates: places among the members, and squared distances."""
        squared = self.points.apart(self.members[rows], self.members[near], threads)
        return _sorted_first(self._first[rows], self._first[near], near, squared, self._n)

    def _thorough(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Neighbours of a few rows among all members, in float64; ties at the boundary go by index."""
        here = self.points.at[self.members[rows]].astype(np.float64)
        norms = self.points.norms[self.members]
        rough = np.empty((len(rows), len(norms)))
        per_block = max(1, HELD_VALUES // here.shape[1])
        for start in range(0, len(norms), per_block):
            block = slice(start, start + per_block)
            others = self.points.at[self.members[block]].astype(np.float64)
            rough[:, block] = norms[rows, None] + norms[block] - 2 * here @ others.T
        width = np.partition(rough, self._n - 1, axis=1)[:, self._n - 1]
        # the centred points are float32: what they round off is searched with
        slack = 1e-5 * width + 1e-6 * np.sqrt(np.maximum(width, 0) * norms[rows]) + 1e-12 * norms[rows]
        indices = np.empty((len(rows), self._n), dtype=np.int64)
        squared = np.empty((len(rows), self._n))
        for place, row in enumerate(rows):
            near = np.flatnonzero(rough[place] <= width[place] + slack[place])
            (indices[place],), (squared[place],) = self._nearest(np.array([row]), near[None])
        return indices, squared


def _candidates(
    searches: Sequence[_Search], plain: Points, threads: int
) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Candidates of searches: from one pass over all rows as they are, or from a pass of their own."""
    if neighbours_gpu.worthwhile(*plain.at.shape):
        return [neighbours_gpu.candidates(one.points.at[one.members], one.n_candidates) for one in searches]
    found: list[Candidates] = []
    shared: list[Candidates] = []
    for one in searches:
        everyone = len(one.members) == len(plain.at)
        points = one.points.at if everyone else one.points.at[one.members]
        norms = one.points.norms[one.members]
        found.append(Candidates(points, norms, one.n_candidates, one.restate))
        if everyone and (one.points is plain or one.restate):
            shared.append(found[-1])
        else:
            find_candidates(points, norms, found[-1:], threads)
    if shared:
        find_candidates(plain.at, plain.norms, shared, threads)
    return [one.found() for one in found]


def _sorted_first(
    rows: npt.NDArray[np.int64],
    ties: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.integer],
    distances: npt.NDArray[np.float64],
    k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The first ``k`` candidates by distance, ties by what ``ties`` says, the row itself before all."""
    keyed = np.where(ties == rows[:, None], -1.0, distances)
    order = np.lexsort((ties, keyed), axis=1)[:, :k]
    kept = np.take_along_axis(candidates, order, axis=1)
    return kept.astype(np.int64), np.maximum(np.take_along_axis(distances, order, axis=1), 0)


def _expand(
    found: npt.NDArray[np.int64],
    distances: npt.NDArray[np.float64],
    first: npt.NDArray[np.int64],
    copy_of: npt.NDArray[np.int64],
    k: int,
) -> Neighbours:
    """Turn neighbours among distinct rows into neighbours among cells."""
    if len(first) == len(copy_of):
        cell = np.argsort(first)
        return Neighbours(first[found[cell]], distances[cell].astype(np.float32))
    by_row = np.argsort(copy_of, kind="stable")
    members = np.split(by_row, np.cumsum(np.bincount(copy_of))[:-1])
    repeated = np.bincount(copy_of) > 1
    indices = np.empty((len(copy_of), k), dtype=np.int64)
    spread = np.empty((len(copy_of), k))
    for row, cells in enumerate(members):
        if found.shape[1] == k and not repeated[found[row]].any():
            indices[cells[0]], spread[cells[0]] = first[found[row]], distances[row]
            continue
        near = np.concatenate([members[other] for other in found[row]])[None]
        how_far = np.repeat(distances[row], [len(members[other]) for other in found[row]])[None]
        for cell in cells:
            (indices[cell],), (spread[cell],) = _sorted_first(np.array([cell]), near, near, how_far, k)
    return Neighbours(indices, spread.astype(np.float32))
