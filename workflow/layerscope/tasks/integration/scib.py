"""scIB's metrics of a layer as functions of labels: each can stand beside what shuffled labels give."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from layerscope.arrays import Floats, Ints
from layerscope.tasks.integration.clusters import ari, batch_variance, clusters, nmi
from layerscope.tasks.integration.neighbours import (
    Neighbours,
    gaussian_weights,
    graph_connectivity,
    kbet_per_label,
    scaled_median_lisi,
)
from layerscope.tasks.integration.silhouettes import (
    all_distances,
    isolated_labels,
    silhouette_batch,
    silhouette_label,
)

Metric = Callable[[Ints], float]
"""Its value for given labels; NaN where it does not exist."""
NEIGHBOURS, NEIGHBOURS_OF_GRAPH = 90, 15
BATCH_METRICS = ("ilisi", "bras", "silhouette_batch", "kbet_per_label", "batch_variance")
TYPE_METRICS = ("clisi", "silhouette_label", "isolated_labels", "graph_connectivity", "nmi", "ari")


def batch_metrics(vectors: Floats, near: Neighbours, types: Ints) -> Mapping[str, Metric]:
    """Metrics of batches, :data:`BATCH_METRICS`; all but ``batch_variance`` are 1 at best."""
    weights, members = _weights(near), [np.flatnonzero(types == kind) for kind in np.unique(types)]
    euclidean, cosine = (
        [all_distances(vectors[cells], metric) for cells in members] for metric in ("euclidean", "cosine")
    )
    return {
        "ilisi": lambda batches: _scaled_lisi(weights, near, batches),
        "bras": lambda batches: silhouette_batch(cosine, [batches[c] for c in members], all_others=True),
        "silhouette_batch": lambda batches: silhouette_batch(euclidean, [batches[c] for c in members]),
        "kbet_per_label": lambda batches: kbet_per_label(vectors, types, batches),
        "batch_variance": lambda batches: batch_variance(vectors, batches),
    }


def type_metrics(
    vectors: Floats, near: Neighbours, batches: Ints, types: Ints, seed: int
) -> Mapping[str, Metric]:
    """Metrics of types, :data:`TYPE_METRICS`, 1 at best; there are as many clusters as types."""
    weights, graph = _weights(near), near.nearest(NEIGHBOURS_OF_GRAPH)
    distances = all_distances(vectors, "euclidean")
    clustered = clusters(vectors, len(np.unique(types)), seed)
    return {
        "clisi": lambda labels: 1 - _scaled_lisi(weights, near, labels),
        "silhouette_label": lambda labels: silhouette_label(distances, labels),
        "isolated_labels": lambda labels: isolated_labels(distances, labels, batches),
        "graph_connectivity": lambda labels: graph_connectivity(graph, labels),
        "nmi": lambda labels: nmi(labels, clustered),
        "ari": lambda labels: ari(labels, clustered),
    }


def _weights(near: Neighbours) -> Floats:
    return gaussian_weights(near.distances, (near.cells.shape[1] + 1) // 3)


def _scaled_lisi(weights: Floats, near: Neighbours, labels: Ints) -> float:
    return scaled_median_lisi(weights, labels[near.cells], int(labels.max()) + 1)
