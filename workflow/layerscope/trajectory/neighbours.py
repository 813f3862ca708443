"""Exact nearest neighbours, the same for every number of threads.

faiss (or a GPU) finds candidates among centred vectors in float32; the candidates' distances are computed
again from differences (which cancel nothing), and cells for which float32 products could have hidden a
neighbour are searched once more in float64. Cells with identical values are searched once. Centring changes
no distance and keeps the digits: a layer's vectors often point almost the same way.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError
from layerscope.trajectory import neighbours_gpu

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = ("cosine", "euclidean")
EXTRA_CANDIDATES = 4
HELD_VALUES = 4_000_000
"""Values held at once beside the points themselves."""
CHUNK = 32
"""Squares added up in float32 before their sums are in float64."""


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


def nearest_neighbours(
    matrix: npt.ArrayLike, k: int, metric: Metric = "cosine", threads: int = 1
) -> Neighbours:
    """Find the ``k`` nearest cells of every cell exactly, the cell itself counted as the first.

    ``k`` counts the cell itself, as ``n_neighbors`` of scanpy and UMAP does: k = 15 means 14 others.

    Parameters
    ----------
    matrix
        Cells x features, finite.
    k
        Neighbours per cell, itself included; more than 1, at most the number of cells.
    metric
        ``"cosine"`` (a cell without any value is at distance 1 from all but its duplicates) or
        ``"euclidean"``.
    threads
        Threads of the search. The result does not depend on it.

    Raises
    ------
    DataError
        If there are fewer than ``k`` cells, or a value is not finite.
    ValueError
        If ``metric`` or ``k`` is none of the above.
    """
    values = np.ascontiguousarray(matrix)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if metric not in METRICS or k < 2:
        raise ValueError(f"no neighbours for metric {metric!r} and k = {k}")
    if len(values) < k:
        raise DataError(f"{k} neighbours asked for, but there are only {len(values)} cells")
    if not np.isfinite(values).all():
        raise DataError("neighbours need finite values: leave refused cells out")
    first, copy_of = _distinct_rows(values)
    search = _Search(values[first], metric, threads)
    found, squared = search.nearest(min(k, len(first)))
    return _expand(found, squared, first, copy_of, k, metric)


def _distinct_rows(
    values: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Index of the first cell of each distinct row, in order; and for each cell which distinct row it has."""
    as_bytes = (values + 0.0).view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
    _, first, code = np.unique(as_bytes, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))
    return np.sort(first), place[code]


class _Search:
    """Search among distinct rows; distances are squared Euclidean or 1 - cosine (half the squared chord)."""

    def __init__(self, values: npt.NDArray[np.floating], metric: Metric, threads: int) -> None:
        self._cosine = metric == "cosine"
        self._threads = threads
        scale = np.ones(len(values))
        if self._cosine:
            scale = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
            if (scale == 0).any():
                # a row without direction (there is one at most) points where no other does
                values = np.column_stack([values, (scale == 0).astype(values.dtype)])
                scale[scale == 0] = 1
        width = -(-values.shape[1] // CHUNK) * CHUNK
        self._points = np.zeros((len(values), width), dtype=np.float32)
        centre = (1 / scale) @ values / len(values)
        per_block = max(1, HELD_VALUES // width)
        for start in range(0, len(values), per_block):
            block = slice(start, start + per_block)
            self._points[block, : values.shape[1]] = values[block] / scale[block, None] - centre

    def nearest(self, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        n_points = len(self._points)
        n_candidates = min(k + EXTRA_CANDIDATES, n_points)
        rough, candidates = self._candidates(n_candidates)
        distances = self._again(np.arange(n_points), candidates)
        indices, distances = _sorted_first(np.arange(n_points), candidates, distances, k)
        if n_candidates < n_points:
            # on the scale of squared chords; float32 products err by some units in the last place
            norms = np.einsum("ij,ij->i", self._points, self._points, dtype=np.float64)
            doubt = 5 * 16 * np.finfo(np.float32).eps * norms
            chord = distances[:, -1] * (2 if self._cosine else 1)
            unsure = np.flatnonzero(rough[:, -1] - doubt <= chord * (1 + 1e-5))
            at_once = max(1, HELD_VALUES // n_points)
            for start in range(0, unsure.size, at_once):
                rows = unsure[start : start + at_once]
                indices[rows], distances[rows] = self._thorough(rows, k)
        return indices, distances

    def _candidates(self, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        if neighbours_gpu.worthwhile(*self._points.shape):
            return neighbours_gpu.candidates(self._points, n)
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)
        import faiss

        before = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(self._threads)
        try:
            index = faiss.IndexFlatL2(self._points.shape[1])
            index.add(self._points)
            rough, candidates = index.search(self._points, n)
        finally:
            faiss.omp_set_num_threads(before)
        return rough, candidates

    def _again(
        self, rows: npt.NDArray[np.int64], candidates: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Distances of each row to its candidates from differences, shape of ``candidates``."""
        distances = np.empty(candidates.shape)
        n_candidates, width = candidates.shape[1], self._points.shape[1]
        per_block = max(1, HELD_VALUES // (n_candidates * width))
        for start in range(0, len(rows), per_block):
            block = slice(start, start + per_block)
            apart = self._points[candidates[block]]
            apart -= self._points[rows[block], None]
            apart = apart.reshape(-1, n_candidates, width // CHUNK, CHUNK)
            distances[block] = np.einsum("ijkl,ijkl->ijk", apart, apart).sum(axis=2, dtype=np.float64)
        return distances / 2 if self._cosine else distances

    def _thorough(
        self, rows: npt.NDArray[np.int64], k: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Neighbours of a few rows among all points, in float64; ties at the boundary go by index."""
        points = self._points.astype(np.float64)
        norms = np.einsum("ij,ij->i", points, points)
        rough = norms[rows, None] + norms - 2 * points[rows] @ points.T
        width = np.partition(rough, k - 1, axis=1)[:, k - 1]
        # the centred points are float32: what they round off is searched with
        slack = 1e-5 * width + 1e-6 * np.sqrt(width * norms[rows]) + 1e-12 * norms[rows]
        indices = np.empty((len(rows), k), dtype=np.int64)
        distances = np.empty((len(rows), k))
        for place in range(len(rows)):
            near = np.flatnonzero(rough[place] <= width[place] + slack[place])[None, :]
            here = rows[place : place + 1]
            indices[place], distances[place] = _sorted_first(here, near, self._again(here, near), k)
        return indices, distances


def _sorted_first(
    rows: npt.NDArray[np.int64],
    candidates: npt.NDArray[np.int64],
    distances: npt.NDArray[np.float64],
    k: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Sort candidates by distance, ties by index, the row itself before all."""
    keyed = np.where(candidates == rows[:, None], -1.0, distances)
    order = np.lexsort((candidates, keyed), axis=1)[:, :k]
    kept = np.take_along_axis(candidates, order, axis=1)
    return kept, np.maximum(np.take_along_axis(distances, order, axis=1), 0)


def _expand(
    found: npt.NDArray[np.int64],
    squared: npt.NDArray[np.float64],
    first: npt.NDArray[np.int64],
    copy_of: npt.NDArray[np.int64],
    k: int,
    metric: Metric,
) -> Neighbours:
    """Turn neighbours among distinct rows into neighbours among cells."""
    distances = squared if metric == "cosine" else np.sqrt(squared)
    if len(first) == len(copy_of):
        return Neighbours(found, distances.astype(np.float32))
    by_row = np.argsort(copy_of, kind="stable")
    members = np.split(by_row, np.cumsum(np.bincount(copy_of))[:-1])
    repeated = np.bincount(copy_of) > 1
    indices = np.empty((len(copy_of), k), dtype=np.int64)
    spread = np.empty((len(copy_of), k))
    for row, cells in enumerate(members):
        if found.shape[1] == k and not repeated[found[row]].any():
            indices[cells[0]], spread[cells[0]] = first[found[row]], distances[row]
            continue
        near = np.concatenate([members[other] for other in found[row]])
        how_far = np.repeat(distances[row], [len(members[other]) for other in found[row]])
        for cell in cells:
            here = np.full(1, cell)
            indices[cell], spread[cell] = (
                kept[0] for kept in _sorted_first(here, near[None], how_far[None], k)
            )
    return Neighbours(indices, spread.astype(np.float32))
