"""Ridge regression of effects on genes from effects in a layer, with whole targets held out.

A prediction is a weighted sum of the training perturbations' effects on genes. So everything here is done
with products between perturbations (kernels of the layer, Gram matrices of genes), whose cost does not depend
on how many columns or genes there are. ``n`` runs over halves of the cells: a split and which half trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.tasks.response.targets import Folds

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """Effects on genes that are to be decoded, in every half, over the scale of each fold's training cells."""

    gram: Array  # products between perturbations, (n_folds, n, n_perturbations, n_perturbations)
    own: list[Array]  # of each perturbation, all effects on its own target genes, (n, n_perturbations, n_own)

    @classmethod
    def of(cls, effects: Array, scale: Array, own_genes: Mask, folds: Folds) -> Truth:
        """From effects (n x perturbations x genes), the scale of genes in each fold, and each's own genes."""
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        gram = np.array([kernel(effects * of_fold) for of_fold in inverse])
        fold = folds.test.argmax(axis=0)
        own = [effects[:, :, genes] * inverse[fold[place], genes] for place, genes in enumerate(own_genes)]
        return cls(gram, own)


@dataclass(frozen=True)
class Errors:
    """What decoding missed, of each perturbation when it was held out: means over halves, (n_perturbations,).

    Squared distances of the truth from the prediction (``missed``) and from the training mean (``effect``),
    of the prediction from the training mean (``spread``), and the share of the other held-out truths that are
    further from the prediction than its own (``further``).
    """

    missed: Array
    effect: Array
    spread: Array
    further: Array


def kernel(effects: Array) -> Array:
    """Products between the effects of perturbations, ``(..., n_perturbations, n_perturbations)``."""
    return np.asarray(effects @ np.swapaxes(effects, -1, -2))


def choose_penalties(kernels: Array, truth: Truth, folds: Folds, penalties: tuple[float, ...]) -> Array:
    """Penalty of every fold, by leaving single training perturbations out, over all halves together.

    ``kernels`` of shape ``(n_folds or 1, n, n_perturbations, n_perturbations)``. Penalties are in units of
    the mean squared length of the training perturbations' centred effects.
    """
    chosen = []
    for fold, train in enumerate(folds.train):
        inside = np.ix_(range(kernels.shape[1]), train, train)
        own, gram = kernels[fold % len(kernels)][inside], truth.gram[fold][inside]
        size = int(train.sum())
        centring = np.eye(size) - 1 / size
        values, axes = np.linalg.eigh(centring @ own @ centring)
        values = np.maximum(values, 0.0)
        errors = []
        for penalty in penalties:
            ridge = penalty * values.mean(axis=-1, keepdims=True)
            kept = np.divide(ridge, values + ridge, out=np.ones_like(values), where=ridge > 0)
            # of the residuals of the fit those of a perturbation that was left out
            residual = (axes * kept[:, None]) @ np.swapaxes(axes, -1, -2) @ centring
            diagonal = np.diagonal(residual, axis1=-2, axis2=-1)[..., None]
            left_out = residual / diagonal
            errors.append(float(((left_out @ gram) * left_out).sum()))
        chosen.append(penalties[int(np.argmin(errors))])
    return np.array(chosen)


def predictions(
    kernels: Array, folds: Folds, penalty: Array, drawn: Array | None = None
) -> tuple[Array, Array]:
    """How much each training perturbation counts in the prediction of each held-out one, and in the mean.

    Parameters
    ----------
    kernels
        As in :func:`choose_penalties`.
    folds
        What is held out.
    penalty
        Of every fold.
    drawn
        How often each perturbation is drawn into the training, once if None.

    Returns
    -------
    Weights of predictions, shape ``(n, n_perturbations, n_perturbations)``, and of the training mean, shape
    ``(n_perturbations, n_perturbations)``; a row of each held-out perturbation.
    """
    n_perturbations = kernels.shape[-1]
    weights = np.zeros((kernels.shape[1], n_perturbations, n_perturbations))
    means = np.zeros((n_perturbations, n_perturbations))
    for fold, (test, train) in enumerate(zip(folds.test, folds.train, strict=True)):
        times = (np.ones(n_perturbations) if drawn is None else drawn)[train].astype(np.float64)
        if not times.any():
            times[:] = 1.0
        mean = times / times.sum()
        own = kernels[fold % len(kernels)]
        inside = own[:, train][:, :, train]
        across = own[:, test][:, :, train]
        centre = inside @ mean
        total = centre @ mean
        inside = inside - centre[:, :, None] - centre[:, None, :] + total[:, None, None]
        across = across - (across @ mean)[..., None] - centre[:, None, :] + total[:, None, None]
        root = np.sqrt(times)
        weighted = root[:, None] * inside * root
        ridge = penalty[fold] * np.trace(weighted, axis1=-2, axis2=-1) / times.sum()
        # of a layer in which nothing differs every prediction is the mean
        ridge = np.where(ridge > 0, ridge, 1.0)
        weighted[:, range(len(root)), range(len(root))] += ridge[:, None]
        solved = np.linalg.solve(weighted, np.swapaxes(across * root, -1, -2))
        slopes = np.swapaxes(solved, -1, -2) * root
        slopes = slopes + (1 - slopes.sum(axis=-1, keepdims=True)) * mean
        weights[np.ix_(range(len(weights)), test, train)] = slopes
        means[np.ix_(test, train)] = mean
    return weights, means


def errors_of(weights: Array, means: Array, truth: Truth, folds: Folds) -> Errors:
    """What predictions missed of the truth; a perturbation's own target genes do not count in its row."""
    n, n_perturbations = weights.shape[:2]
    identity = np.eye(n_perturbations)
    missed, effect, spread, further = np.empty((4, n_perturbations))
    for test, gram in zip(folds.test, truth.gram, strict=True):
        held_out = np.flatnonzero(test)
        distances = []
        for one in held_out:
            # differences to the prediction of the truths of the fold, of the mean, and of this truth to the mean
            between = np.concatenate(
                [
                    weights[:, [one]] - identity[held_out],
                    weights[:, [one]] - means[one],
                    np.broadcast_to(identity[one] - means[one], (n, 1, n_perturbations)),
                ],
                axis=1,
            )
            squared = ((between @ gram) * between).sum(axis=-1)
            own = truth.own[one]
            if own.shape[-1]:
                squared -= ((between @ own) ** 2).sum(axis=-1)
            distances.append(squared.T)
        of_all = np.array(distances)  # held out x (truths, to mean, truth to mean) x n
        to_truths = of_all[:, :-2]
        to_own = np.diagonal(to_truths, axis1=0, axis2=1).T[:, None]
        missed[held_out] = to_own[:, 0].mean(axis=-1)
        spread[held_out], effect[held_out] = of_all[:, -2].mean(axis=-1), of_all[:, -1].mean(axis=-1)
        # its own truth is not further than itself, and ties count one half: it adds a half
        share = ((to_truths > to_own) + 0.5 * (to_truths == to_own)).sum(axis=1) - 0.5
        further[held_out] = share.mean(axis=-1) / max(len(held_out) - 1, 1)
    return Errors(missed, effect, spread, further)


def pearson_from_control(weights: Array, effects: Array) -> Array:
    """Pearson correlation over genes of predicted with true effects on them, each's mean over halves."""
    centred = effects - effects.mean(axis=-1, keepdims=True)
    gram = kernel(centred)
    product = np.diagonal(weights @ gram, axis1=-2, axis2=-1)
    predicted = ((weights @ gram) * weights).sum(axis=-1)
    true = np.diagonal(gram, axis1=-2, axis2=-1)
    scale = np.sqrt(predicted * true)
    correlation = np.divide(product, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.asarray(correlation.mean(axis=0))
