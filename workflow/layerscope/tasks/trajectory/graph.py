"""The neighbour graph: UMAP's fuzzy connectivities of exact nearest neighbours.

The arithmetic is that of umap-learn 0.5 (McInnes, Healy & Melville 2018, section 3.1), which scanpy's
``sc.pp.neighbors`` uses, on whole arrays instead of cell by cell: the same numbers without compiling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from layerscope.tasks.trajectory.neighbours import Metric, Neighbours, nearest_neighbours

SEARCH_STEPS = 64
SEARCH_TOLERANCE = 1e-5
SMALLEST_WIDTH = 1e-3


@dataclass(frozen=True)
class NeighbourGraph:
    """Connectivities between cells."""

    connectivities: sparse.csr_matrix  # cells x cells, CSR, float32, symmetric, in [0, 1], empty diagonal
    component: npt.NDArray[np.int32]  # connected component of each cell

    @property
    def n_components(self) -> int:
        """Number of connected components."""
        return int(self.component.max()) + 1


def neighbour_graph(matrix: npt.ArrayLike, k: int = 15, metric: Metric = "cosine") -> NeighbourGraph:
    """Graph of the ``k`` nearest neighbours (each cell counted among its own), weighted as UMAP does."""
    return graph_of(nearest_neighbours(matrix, k, metric))


def graph_of(neighbours: Neighbours) -> NeighbourGraph:
    """Graph of neighbours already found (the first columns of a wider search are a search of their own)."""
    connectivities = fuzzy_connectivities(neighbours)
    component = connected_components(connectivities, directed=False)[1]
    return NeighbourGraph(connectivities, component)


def fuzzy_connectivities(neighbours: Neighbours) -> sparse.csr_matrix:
    """Fuzzy union of the cells' local memberships: a + b - a * b of the two directions of an edge."""
    distances = neighbours.distances
    n_cells, k = distances.shape
    nearest, width = _smooth_distances(distances)
    beyond = distances - nearest[:, None]
    membership = np.ones_like(beyond)
    further = (beyond > 0) & (width[:, None] > 0)
    membership[further] = np.exp(-(beyond / np.where(width > 0, width, 1)[:, None])[further])
    membership[:, 0] = 0  # the cell itself
    directed = sparse.csr_matrix(
        (membership.ravel(), neighbours.indices.ravel(), np.arange(0, n_cells * k + 1, k)),
        shape=(n_cells, n_cells),
    )
    directed.eliminate_zeros()
    reverse = directed.T.tocsr()
    union = directed + reverse - directed.multiply(reverse)
    union.eliminate_zeros()
    union.sort_indices()
    return union


def _smooth_distances(
    distances: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Distance to the nearest other point, and the width at which memberships add up to log2(k): umap's."""
    k = distances.shape[1]
    positive = np.where(distances > 0, distances, np.float32(np.inf))
    nearest = positive.min(axis=1)
    nearest[~np.isfinite(nearest)] = 0
    beyond = np.ascontiguousarray((distances[:, 1:] - nearest[:, None]).T)
    width = _bisect(beyond, np.log2(k))
    mean = np.where(nearest > 0, distances.mean(axis=1), distances.mean(dtype=np.float64))
    return nearest, np.maximum(width, SMALLEST_WIDTH * mean).astype(np.float32)


def _bisect(beyond: npt.NDArray[np.float32], target: float) -> npt.NDArray[np.float32]:
    """Width at which ``sum(exp(-max(beyond, 0) / width))`` over axis 0 is ``target``, for every column."""
    n_cells = beyond.shape[1]
    largest = np.finfo(np.float32).max
    width = np.ones(n_cells, dtype=np.float32)
    low = np.zeros(n_cells, dtype=np.float32)
    high = np.full(n_cells, largest, dtype=np.float32)
    searching = np.arange(n_cells)
    part = np.maximum(beyond, 0)
    for _ in range(SEARCH_STEPS):
        with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
            total = np.exp(-(part / width[searching])).sum(axis=0)
        still = np.abs(total.astype(np.float64) - target) >= SEARCH_TOLERANCE
        if not still.all():
            searching, total, part = searching[still], total[still], part[:, still]
        if not searching.size:
            break
        wide = total > target
        low[searching] = np.where(wide, low[searching], width[searching])
        high[searching] = np.where(wide, width[searching], high[searching])
        open_ended = high[searching] >= largest
        with np.errstate(over="ignore"):
            middle = (low[searching] + high[searching]) / 2
        width[searching] = np.where(open_ended, width[searching] * 2, middle)
    return width
