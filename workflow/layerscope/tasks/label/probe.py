"""The linear probe: can a straight cut through a layer tell labels apart in cells it has not seen?"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from layerscope.arrays import Bools, Floats, Ints
from layerscope.tasks.label.measures import Labellings
from layerscope.tasks.scored import NoScoreError, varying_columns

Prepare = Callable[[Floats, Floats, Ints], tuple[Floats, Floats]]
"""Makes of training cells, tested cells and the training cells' true labels what a probe is fitted to."""
STEPS = 1000
TOLERANCE, TOLERANCE_REPEATED = 1e-4, 1e-3
"""Largest gradient at the end of a fit: of the first labelling, and of the many that are beside it."""


def probe_scores(
    vectors: Floats,
    labellings: Labellings,
    folds: Ints,
    penalty: float,
    prepare: Prepare | None = None,
    balanced: bool = False,
) -> tuple[Floats, int]:
    """Score every cell for every label by a probe that was fitted to the cells of all other folds.

    Multinomial logistic regression with a ridge penalty per training cell (scikit-learn, L-BFGS). Columns are
    standardised by the training cells of each fold, or made by ``prepare``. With ``balanced`` labels count
    alike, else cells.

    Returns logarithms of odds, ``(n_labellings, n_cells, n_labels)``, minus infinity for labels that no
    training cell has, and the number of fits that did not converge in :data:`STEPS` steps. NoScoreError where
    all cells of a fit are the same.
    """
    scores = np.full((*labellings.types.shape, labellings.n_types), -np.inf)
    tolerances = [TOLERANCE, *[TOLERANCE_REPEATED] * (len(scores) - 1)]
    unfinished = 0
    for fold in np.unique(folds):
        test = folds == fold
        train_vectors, test_vectors = prepared(vectors, test, prepare, labellings.types[0])
        fits = zip(labellings.types, labellings.weights, tolerances, scores, strict=True)
        for labels, weight, tolerance, of_cells in fits:
            weights = weight[~test] * (_balance(labels[~test], weight[~test]) if balanced else 1)
            of_labels, known, converged = _fitted(
                train_vectors, labels[~test], weights, test_vectors, penalty, tolerance
            )
            of_cells[np.ix_(test, known)] = of_labels
            unfinished += not converged
    return scores, unfinished


def prepared(vectors: Floats, test: Bools, prepare: Prepare | None, types: Ints) -> tuple[Floats, Floats]:
    """Training and tested cells of a fold, standardised or as ``prepare`` makes them of true labels."""
    if prepare is None:
        return standardised(vectors[~test], vectors[test])
    return prepare(vectors[~test], vectors[test], types[~test])


def _balance(labels: Ints, weight: Floats) -> Floats:
    """Weights with which every label counts as much; scikit-learn's ``class_weight="balanced"``."""
    sizes = np.bincount(labels, weight)
    counted = sizes > 0
    factors = np.where(counted, weight.sum() / (counted.sum() * np.where(counted, sizes, 1)), 0)
    return np.asarray(factors[labels])


def transferred_predictions(train: Floats, labellings: Labellings, test: Floats, penalty: float) -> Ints:
    """Likeliest labels of cells by probes fitted to others, in the others' units: one row per labelling."""
    train_vectors, test_vectors = standardised(train, test)
    predicted = np.empty((len(labellings.types), len(test)), dtype=np.intp)
    fits = zip(labellings.types, labellings.weights, strict=True)
    for row, (labels, weight) in zip(predicted, fits, strict=True):
        scores, known, _ = _fitted(train_vectors, labels, weight, test_vectors, penalty, TOLERANCE)
        row[:] = known[scores.argmax(axis=1)]
    return predicted


def standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Both sets in units of the training cells' standard deviations from their means.

    With more columns than training cells both are turned onto the axes that the training cells span: what
    lies outside has no weight in a ridge-penalised fit, so predictions are the same, from fewer columns.
    """
    mean = train.mean(axis=0)
    spread = train.std(axis=0)
    varying = varying_columns(train)
    if not varying.any():
        raise NoScoreError("undefined", "constant layer: the cells that a probe is fitted to are the same")
    scale = spread[varying]
    train, test = ((part[:, varying] - mean[varying]) / scale for part in (train, test))
    if train.shape[1] <= len(train):
        return train, test
    values, axes = np.linalg.eigh(train @ train.T)
    spanned = values > values[-1] * 1e-10
    lengths, axes = np.sqrt(values[spanned]), axes[:, spanned]
    return axes * lengths, (test @ train.T) @ (axes / lengths)


def _fitted(
    train: Floats, labels: Ints, weight: Floats, test: Floats, penalty: float, tolerance: float
) -> tuple[Floats, Ints, bool]:
    """Scores of the test cells for the labels that training cells have, these labels, and convergence."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    drawn = weight > 0 if weight.any() else np.ones(len(weight), dtype=bool)
    train, labels, weight = train[drawn], labels[drawn], weight[drawn]
    if (labels == labels[0]).all():
        return np.zeros((len(test), 1)), labels[:1], True
    model = LogisticRegression(C=1 / (penalty * max(weight.sum(), 1)), tol=tolerance, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted instead
        model.fit(train, labels, weight)
    scores = model.decision_function(test)
    if scores.ndim == 1:
        scores = np.column_stack([np.zeros(len(test)), scores])
    return scores, model.classes_, bool((model.n_iter_ < STEPS).all())
