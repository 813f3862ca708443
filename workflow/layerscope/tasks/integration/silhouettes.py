"""Silhouettes of types and of batches, as scib-metrics defines them: 1 is best.

A silhouette (Rousseeuw 1987) is (b - a) / max(a, b): ``a`` is a cell's mean distance to the other cells of
its group, ``b`` that to the cells of the nearest other group. Where batches stand far apart in pairs, the
nearest other batch may still be near: BRAS takes ``b`` over all cells of other batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.distances import distance_blocks


def all_distances(vectors: Floats, metric: str) -> Floats:
    """Distances between all cells, ``"euclidean"`` or ``"cosine"``."""
    return np.concatenate([block for _, block in distance_blocks(vectors, metric)])


def silhouettes(distances: Floats, groups: Ints, *, all_others: bool = False) -> Floats:
    """Silhouette of every cell; 0 where it is alone in its group, or there is no other."""
    names, group = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return np.zeros(len(groups))
    sums = distances @ (group[:, None] == np.arange(len(names))).astype(np.float64)
    sizes, rows = np.bincount(group), np.arange(len(group))
    own, alone = sums[rows, group], sizes[group] == 1
    inner = own / np.maximum(sizes[group] - 1, 1)
    if all_others:
        outer = (sums.sum(axis=1) - own) / (len(group) - sizes[group])
    else:
        means = sums / sizes
        means[rows, group] = np.inf
        outer = means.min(axis=1)
    larger = np.maximum(inner, outer)
    return np.asarray(np.where(alone | (larger == 0), 0, (outer - inner) / np.where(larger > 0, larger, 1)))


def silhouette_label(distances: Floats, labels: Ints) -> float:
    """Mean silhouette of the labels, moved to 0 to 1."""
    return float((silhouettes(distances, labels).mean() + 1) / 2)


def isolated_labels(distances: Floats, labels: Ints, batches: Ints) -> float:
    """Mean silhouette of the labels that lie in fewest batches, moved to 0 to 1; each label counts alike."""
    return isolated_mean(silhouettes(distances, labels), labels, batches)


def isolated_mean(of_cells: Floats, labels: Ints, batches: Ints) -> float:
    """The same of given silhouettes."""
    n_batches = {label: len(np.unique(batches[labels == label])) for label in np.unique(labels)}
    fewest = min(n_batches.values())
    means = [of_cells[labels == label].mean() for label, n in n_batches.items() if n == fewest]
    return float((np.mean(means) + 1) / 2)


def silhouette_batch(within: Sequence[Floats], batches: Sequence[Ints], *, all_others: bool = False) -> float:
    """How well batches are mixed within types: 1 - |silhouette of the batch|, the mean over types.

    ``within`` are the distances between the cells of each type and ``batches`` their batches. Types of one
    batch are left out; NaN if no other is there. With ``all_others`` and cosine distances this is BRAS.
    """
    means = [
        1 - np.abs(silhouettes(distances, of_cells, all_others=all_others)).mean()
        for distances, of_cells in zip(within, batches, strict=True)
        if 1 < len(np.unique(of_cells)) < len(of_cells)
    ]
    return float(np.mean(means)) if means else float("nan")
