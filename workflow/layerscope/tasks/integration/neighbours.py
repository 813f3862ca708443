"""Nearest neighbours of cells, and the metrics that need nothing else.

The definitions are those of scib-metrics, so that its values are reproduced: as there, ``k`` neighbours are
the cell itself and the ``k - 1`` others that are nearest to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import chdtrc

from layerscope.arrays import Floats, Ints

STEPS, TOLERANCE = 50, 1e-5
REJECTED = 0.05
FEWEST_CELLS, MOST_NEIGHBOURS = 10, 70
"""Of a label that has a kBET of its own."""


@dataclass(frozen=True)
class Neighbours:
    """The other cells nearest to each cell, from near to far, shape ``(n_cells, k - 1)``."""

    cells: Ints
    distances: Floats

    def nearest(self, k: int) -> Neighbours:
        """The first of them: those among ``k`` with the cell itself."""
        return Neighbours(self.cells[:, : k - 1], self.distances[:, : k - 1])


def nearest_neighbours(vectors: Floats, k: int) -> Neighbours:
    """Exact Euclidean neighbours; ``k`` counts the cell itself."""
    from sklearn.neighbors import NearestNeighbors

    k = min(k, len(vectors))
    search = NearestNeighbors(n_neighbors=k - 1, algorithm="brute").fit(vectors)
    distances, cells = search.kneighbors()
    return Neighbours(cells, distances)


def gaussian_weights(distances: Floats, perplexity: float) -> Floats:
    """Weights of each cell's neighbours: ``exp(-b distance)`` over their sum, of a given perplexity."""
    nearer = distances - distances.min(axis=1, keepdims=True)
    scale = nearer.mean(axis=1)
    nearer /= np.where(scale > 0, scale, 1)[:, None]
    low, high = np.zeros(len(nearer)), np.full(len(nearer), np.inf)
    beta, unsettled = np.ones(len(nearer)), np.arange(len(nearer))
    weights = np.empty_like(nearer)
    for _ in range(STEPS):
        part = np.exp(-beta[unsettled, None] * nearer[unsettled])
        total = part.sum(axis=1)
        entropy = np.log(total) + beta[unsettled] * (part * nearer[unsettled]).sum(axis=1) / total
        weights[unsettled] = part / total[:, None]
        excess = entropy - np.log(perplexity)
        wide = excess > 0
        low[unsettled[wide]], high[unsettled[~wide]] = beta[unsettled[wide]], beta[unsettled[~wide]]
        unsettled = unsettled[np.abs(excess) > TOLERANCE]
        if not len(unsettled):
            break
        bounded = np.isfinite(high[unsettled])
        beta[unsettled] = np.where(
            bounded, (low[unsettled] + np.where(bounded, high[unsettled], 0)) / 2, 2 * beta[unsettled]
        )
    return np.asarray(weights)


def lisi(weights: Floats, labels_near: Ints, n_labels: int) -> Floats:
    """Inverse Simpson's index of the labels around each cell (Korsunsky et al. 2019), 1 to ``n_labels``."""
    place = np.arange(len(weights))[:, None] * n_labels + labels_near
    shares = np.bincount(place.ravel(), weights.ravel(), len(weights) * n_labels).reshape(-1, n_labels)
    return np.asarray(1 / (shares**2).sum(axis=1))


def scaled_median_lisi(weights: Floats, labels_near: Ints, n_labels: int) -> float:
    """Median LISI of the cells, 0 where every cell's neighbours have one label and 1 where all alike."""
    return float((np.median(lisi(weights, labels_near, n_labels)) - 1) / (n_labels - 1))


def graph_connectivity(neighbours: Neighbours, labels: Ints) -> float:
    """Share of a label's cells in its largest strongly connected part of the graph, averaged over labels."""
    n_cells, k = neighbours.cells.shape
    rows = np.repeat(np.arange(n_cells), k)
    graph = sparse.csr_matrix((np.ones(n_cells * k), (rows, neighbours.cells.ravel())), (n_cells, n_cells))
    shares = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        _, part = connected_components(graph[members][:, members], directed=True, connection="strong")
        shares.append(np.bincount(part).max() / len(members))
    return float(np.mean(shares))


def kbet(neighbours: Neighbours, batches: Ints) -> float:
    """Share of cells around which batches are as everywhere: chi-squared tests at 5% (Buettner et al. 2019).

    The cell itself counts among its neighbours. Neighbourhoods overlap, so this is a share and no test.
    """
    near = np.column_stack([batches, batches[neighbours.cells]])
    n_batches = int(batches.max()) + 1
    expected = np.bincount(batches, minlength=n_batches) / len(batches) * near.shape[1]
    observed = np.stack([(near == batch).sum(axis=1) for batch in range(n_batches)], axis=1)
    statistic = ((observed - expected) ** 2 / expected).sum(axis=1)
    return float((chdtrc(n_batches - 1, statistic) >= REJECTED).mean())


def kbet_per_label(vectors: Floats, labels: Ints, batches: Ints) -> float:
    """The same among the cells of each label, averaged over labels: those of 10 cells and two batches.

    Neighbours are as many as a quarter of the label's mean batch, 10 to 70, in the layer itself; scib-metrics
    takes them in the label's diffusion map. NaN without such a label.
    """
    shares = []
    for label in np.unique(labels):
        names, batch = np.unique(batches[labels == label], return_inverse=True)
        if len(batch) >= FEWEST_CELLS and len(names) > 1:
            k = int(np.clip(len(batch) // len(names) // 4, FEWEST_CELLS, MOST_NEIGHBOURS))
            shares.append(kbet(nearest_neighbours(vectors[labels == label], k), batch))
    return float(np.mean(shares)) if shares else float("nan")
