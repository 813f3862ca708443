"""What batches explain of a layer, and how far its clusters are the types."""

from __future__ import annotations

import numpy as np

from layerscope.arrays import Floats, Ints

STARTS = 10


def batch_variance(vectors: Floats, batches: Ints) -> float:
    """Share of a layer's variance that lies between batches: principal component regression.

    R^2 of each principal component on the batch, weighted by its variance, is the share of the sum of squares
    around the mean that the batches' means explain: no component has to be computed.
    """
    centred = vectors - vectors.mean(axis=0)
    names, batch = np.unique(batches, return_inverse=True)
    member = (batch == np.arange(len(names))[:, None]).astype(np.float64)
    means = member @ centred / member.sum(axis=1, keepdims=True)
    between = (member.sum(axis=1, keepdims=True) * means**2).sum()
    return float(between / (centred**2).sum())


def clusters(vectors: Floats, n_clusters: int, seed: int) -> Ints:
    """K-means, the best of :data:`STARTS` starts."""
    from sklearn.cluster import KMeans

    numbers = KMeans(n_clusters, n_init=STARTS, random_state=seed).fit_predict(vectors)
    return np.asarray(numbers, dtype=np.intp)


def nmi(labels: Ints, clustered: Ints) -> float:
    """Normalised mutual information (arithmetic mean) of labels and clusters."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, clustered))


def ari(labels: Ints, clustered: Ints) -> float:
    """Adjusted Rand index of labels and clusters."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(labels, clustered))
