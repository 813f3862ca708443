"""A linear probe in closed form: many labellings of the same cells cost little more than one.

Linear discriminant analysis whose covariance has a ridge: of columns in units of their standard deviation,
the covariance within labels gets ``penalty`` on its diagonal. The second moments of all training cells are
factorised once; the scatter within the labels of each labelling differs from them by the labels' means alone.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.probe import standardised


def columns_of(vectors: Floats) -> Floats:
    """Columns in units of their standard deviation, turned onto the cells' axes where those are fewer."""
    return standardised(vectors, vectors[:1])[0]


def predictions(columns: Floats, labellings: Ints, folds: Ints, penalty: float) -> Ints:
    """Labels by a probe that was fitted to the cells of all other folds, labellings x cells as given."""
    predicted = np.empty_like(labellings)
    n_labels = int(labellings.max()) + 1
    parts = [folds == fold for fold in np.unique(folds)]
    moments = [columns[part].T @ columns[part] for part in parts]
    total = np.sum(moments, axis=0)
    for test, own in zip(parts, moments, strict=True):
        train = columns[~test]
        second = total - own
        second.flat[:: len(second) + 1] += penalty * len(train)
        factor = cho_factor(second, overwrite_a=True, check_finite=False)
        for labels, prediction in zip(labellings, predicted, strict=True):
            slopes, intercepts = _discriminants(train, labels[~test], n_labels, factor)
            prediction[test] = (columns[test] @ slopes + intercepts).argmax(axis=1)
    return predicted


def _discriminants(
    train: Floats, labels: Ints, n_labels: int, factor: tuple[Floats, bool]
) -> tuple[Floats, Floats]:
    """Slopes (columns x labels) and intercepts: labels are a priori as common as they are in training."""
    sizes = np.bincount(labels, minlength=n_labels).astype(np.float64)
    member = (labels[:, None] == np.arange(n_labels)).astype(np.float64)
    means = member.T @ train / np.maximum(sizes, 1)[:, None]
    of_all = cho_solve(factor, means.T, check_finite=False)
    # within = all - sum of size x mean x mean', so that its solution follows from a matrix of labels x labels
    slopes = len(train) * np.linalg.solve(np.eye(n_labels) - (means @ of_all) * sizes, of_all.T).T
    with np.errstate(divide="ignore"):
        prior = np.log(sizes / len(train))
    return slopes, prior - (means * slopes.T).sum(axis=1) / 2


def votes(vectors: Floats, labellings: Ints, folds: Ints, n_votes: int) -> Ints:
    """Labels that the nearest cells of all other folds vote for (Euclidean), shapes as above."""
    from sklearn.neighbors import KNeighborsClassifier

    voted = np.empty_like(labellings)
    for fold in np.unique(folds):
        test = folds == fold
        nearest = KNeighborsClassifier(min(n_votes, int((~test).sum())), algorithm="brute")
        nearest.fit(vectors[~test], labellings[:, ~test].T)
        voted[:, test] = nearest.predict(vectors[test]).T
    return voted
