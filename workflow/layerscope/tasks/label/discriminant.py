"""A linear probe in closed form: a thousand labellings of the same cells cost little more than one.

A linear discriminant with a ridge penalty. Label ``k`` scores ``x' A m_k - m_k' A m_k / 2``: ``m_k`` is the
mean of its training cells, ``A`` the inverse of the covariance of all training cells with the penalty on its
diagonal. For two labels that is the direction of a ridge regression, cut half-way between both means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import softmax

from layerscope.arrays import Bools, Floats, Ints
from layerscope.tasks.label.probe import Prepare, prepared


@dataclass(frozen=True)
class _Fold:
    test: Bools
    training: Floats
    tested: Floats
    factor: tuple[Floats, bool]


class Discriminant:
    """The probe of every fold, which knows all but the labels.

    Columns are standardised by the training cells of each fold, or made by ``prepare``, which may know the
    true labels ``types``. The ridge penalty is in units of the columns' variance. NoScoreError where all
    training cells of a fold are the same.
    """

    def __init__(
        self,
        vectors: Floats,
        folds: Ints,
        penalty: float,
        prepare: Prepare | None = None,
        types: Ints | None = None,
    ) -> None:
        true = np.zeros(len(vectors), dtype=np.intp) if types is None else types
        self._folds = []
        for fold in np.unique(folds):
            test = folds == fold
            training, tested = prepared(vectors, test, prepare, true)
            covariance = training.T @ training / len(training)
            covariance[np.diag_indices_from(covariance)] += penalty
            self._folds.append(_Fold(test, training, tested, cho_factor(covariance, overwrite_a=True)))

    def __call__(self, types: Ints, n_types: int, weight: Floats | None = None) -> Floats:
        """Probability of every label, shape ``(n_labellings, n_cells, n_types)``.

        ``weight`` says how often each training cell counts in the mean of its label. A label that no training
        cell has gets probability 0.
        """
        scores = np.empty((*types.shape, n_types))
        for fold in self._folds:
            labels = types[:, ~fold.test]
            member = memberships(labels, n_types, None if weight is None else weight[~fold.test])
            sizes = member.sum(axis=1).ravel()
            sums = fold.training.T @ member.transpose(1, 0, 2).reshape(labels.shape[1], -1)
            means = sums / np.where(sizes > 0, sizes, 1)
            solved = cho_solve(fold.factor, means)
            of_labels = fold.tested @ solved - (means * solved).sum(axis=0) / 2
            of_labels[:, sizes == 0] = -np.inf
            scores[:, fold.test] = of_labels.reshape(-1, len(types), n_types).transpose(1, 0, 2)
        lost = np.isneginf(scores).all(axis=2)
        scores[lost] = 0
        return np.asarray(softmax(scores, axis=2))


def memberships(labels: Ints, n_types: int, weight: Floats | None = None) -> Floats:
    """How much each cell counts for each label: labellings x cells x labels.

    ``weight`` says how often a cell counts; where it leaves out all cells of a label, each counts once.
    """
    member: Floats = (labels[:, :, None] == np.arange(n_types)).astype(np.float64)
    if weight is None:
        return member
    drawn = member * weight[:, None]
    return np.asarray(np.where(drawn.any(axis=1, keepdims=True), drawn, member))
