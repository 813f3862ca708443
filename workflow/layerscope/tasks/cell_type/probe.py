"""The linear probe: can a straight cut through a layer tell cell types apart in cells it has not seen?"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from layerscope.tasks.cell_type.measures import Labellings
from layerscope.tasks.folds import NoScoreError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
STEPS = 1000
TOLERANCE, TOLERANCE_REPEATED = 1e-4, 1e-3
"""Largest gradient at the end of a fit: of the first labelling, and of the many that are beside it."""
ROUNDING = 1e-6
"""Share of its largest value that a column must vary by: less is single precision's rounding."""


def probe_predictions(
    vectors: Floats, labellings: Labellings, folds: Ints, penalty: float
) -> tuple[Ints, int]:
    """Predict every cell's type by a probe that was fitted to the cells of all other folds.

    Multinomial logistic regression with a ridge penalty (scikit-learn, L-BFGS), on columns standardised by
    the training cells of each fold; ``penalty`` is per training cell.

    Returns predicted types, shape ``(n_labellings, n_cells)``, and the number of fits that did not converge
    in :data:`STEPS` steps. Raises NoScoreError where all cells of a fit are the same.
    """
    predicted = np.empty_like(labellings.types)
    tolerances = [TOLERANCE, *[TOLERANCE_REPEATED] * (len(predicted) - 1)]
    unfinished = 0
    for fold in np.unique(folds):
        test = folds == fold
        train_vectors, test_vectors = standardised(vectors[~test], vectors[test])
        fits = zip(labellings.types, labellings.weights, tolerances, predicted, strict=True)
        for labels, weight, tolerance, prediction in fits:
            prediction[test], converged = _fitted(
                train_vectors, labels[~test], weight[~test], test_vectors, penalty, tolerance
            )
            unfinished += not converged
    return predicted, unfinished


def standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Both sets in units of the training cells' standard deviations from their means.

    With more columns than training cells both are turned onto the axes that the training cells span: what
    lies outside has no weight in a ridge-penalised fit, so predictions are the same, from fewer columns.
    """
    mean = train.mean(axis=0)
    spread = train.std(axis=0)
    varying = spread > ROUNDING * np.abs(train).max(axis=0)
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
) -> tuple[Ints, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    drawn = weight > 0 if weight.any() else np.ones(len(weight), dtype=bool)
    train, labels, weight = train[drawn], labels[drawn], weight[drawn]
    if (labels == labels[0]).all():
        return np.full(len(test), labels[0]), True
    model = LogisticRegression(C=1 / (penalty * max(weight.sum(), 1)), tol=tolerance, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted instead
        model.fit(train, labels, weight)
    return np.asarray(model.predict(test), dtype=np.intp), bool((model.n_iter_ < STEPS).all())
