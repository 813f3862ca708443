"""How labels are read off a representation: by the probe, or by the method that a baseline is published with.

Two baselines learn from labels, so that no file of embeddings can hold them: their file holds the cells'
normal scores, and everything that knows a label is fitted here, to the training cells of each fold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from layerscope.arrays import Floats, Ints
from layerscope.tasks.label.discriminant import Discriminant, memberships
from layerscope.tasks.label.measures import Labellings
from layerscope.tasks.label.probe import probe_scores, standardised
from layerscope.tasks.scored import NoScoreError, varying_columns

Reader = Callable[..., Floats]
SCTOP, ANOVA_PCA = "sctop", "anova_pca"
N_GENES, N_COMPONENTS = 20_000, 220


def cell_scores(
    family: str, vectors: Floats, labellings: Labellings, folds: Ints, penalty: float
) -> tuple[Floats, int]:
    """Score every cell for every label: shape ``(n_labellings, n_cells, n_labels)``, and failed fits.

    By the family of the representation: scTOP's projection; logistic regression with balanced labels on
    ANOVA's genes and whitened components (Souza and Mehta), whose genes are chosen by the first labelling;
    else the linear probe.
    """
    if family == SCTOP:
        project = Projection(vectors, folds)
        pairs = zip(labellings.types, labellings.weights, strict=True)
        return np.stack([project(types[None], labellings.n_types, w)[0] for types, w in pairs]), 0
    if family == ANOVA_PCA:
        return probe_scores(vectors, labellings, folds, 1 / len(vectors), anova_components, balanced=True)
    return probe_scores(vectors, labellings, folds, penalty)


def unit_reader(family: str, vectors: Floats, folds: Ints, penalty: float, types: Ints) -> Reader:
    """What reads a thousand labellings of samples or donors at once; ``types`` are the true labels."""
    if family == SCTOP:
        return Projection(vectors, folds)
    if family == ANOVA_PCA:
        return Discriminant(vectors, folds, penalty, anova_components, types)
    return Discriminant(vectors, folds, penalty)


class Projection:
    """scTOP (Yampolskaya et al. 2023): a cell as a sum of the labels' mean profiles, ``(B'B)^-1 B'x``.

    ``vectors`` are normal scores of unit length, ``B`` the means of each label's training cells. A label that
    no training cell has scores minus infinity.
    """

    def __init__(self, vectors: Floats, folds: Ints) -> None:
        if (vectors == vectors[0]).all():
            raise NoScoreError("undefined", "constant layer: every cell has the same embedding")
        self._vectors, self._folds = vectors, folds

    def __call__(self, types: Ints, n_types: int, weight: Floats | None = None) -> Floats:
        """Coefficients, shape ``(n_labellings, n_cells, n_types)``; ``weight`` counts training cells."""
        scores = np.empty((*types.shape, n_types))
        for fold in np.unique(self._folds):
            test = self._folds == fold
            labels = types[:, ~test]
            member = memberships(labels, n_types, None if weight is None else weight[~test])
            sizes = member.sum(axis=1)
            sums = member.transpose(0, 2, 1).reshape(-1, labels.shape[1]) @ self._vectors[~test]
            basis = sums.reshape(len(types), n_types, -1) / np.where(sizes > 0, sizes, 1)[:, :, None]
            inverse = np.linalg.pinv(basis @ basis.transpose(0, 2, 1), hermitian=True)
            products = (basis.reshape(-1, basis.shape[2]) @ self._vectors[test].T).reshape(
                len(types), n_types, -1
            )
            coefficients = (inverse @ products).transpose(0, 2, 1)
            scores[:, test] = np.where(sizes[:, None, :] > 0, coefficients, -np.inf)
        return scores


def anova_components(train: Floats, test: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Whitened components of the genes that tell the training cells' labels apart best, of both sets."""
    from sklearn.decomposition import PCA
    from sklearn.feature_selection import f_classif

    varying = varying_columns(train)
    if not varying.any():
        return standardised(train, test)
    train, test = train[:, varying], test[:, varying]
    if train.shape[1] > N_GENES and len(np.unique(labels)) > 1:
        chosen = np.sort(np.argsort(-f_classif(train, labels)[0], kind="stable")[:N_GENES])
        train, test = train[:, chosen], test[:, chosen]
    mean, spread = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / spread, (test - mean) / spread
    n_components = min(N_COMPONENTS, len(train) - 1, train.shape[1])
    exact = max(train.shape) <= 2 * N_COMPONENTS
    components = PCA(n_components, whiten=True, svd_solver="full" if exact else "randomized", random_state=0)
    return components.fit_transform(train), components.transform(test)
