"""Ridge regression of effects on genes from effects in a layer, with whole targets held out.

A prediction is a weighted sum of the training perturbations' effects on genes. So everything here is done
with products between perturbations (kernels of the layer, Gram matrices of genes), whose cost does not depend
on how many columns or genes there are. ``n`` runs over halves of the cells: a split and which half trains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layerscope.arrays import Bools, Floats
from layerscope.tasks.response.targets import Folds


@dataclass(frozen=True)
class Truth:
    """Effects on genes to be decoded, in every half, over the scale of each fold's training cells."""

    gram: Floats  # products between perturbations, (n_folds, n, n_perturbations, n_perturbations)
    own: list[
        Floats
    ]  # of each perturbation, all effects on its own target genes, (n, n_perturbations, n_own)

    @classmethod
    def of(cls, effects: Floats, scale: Floats, own_genes: Bools, folds: Folds) -> Truth:
        """From effects (n x perturbations x genes), the scale of genes in each fold, and each's own genes."""
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
        gram = np.array([kernel(effects * of_fold) for of_fold in inverse])
        fold = folds.test.argmax(axis=0)
        own = [effects[:, :, genes] * inverse[fold[place], genes] for place, genes in enumerate(own_genes)]
        return cls(gram, own)


@dataclass(frozen=True)
class Errors:
    """What decoding missed of each perturbation when it was held out: means over halves."""

    missed: Floats  # squared distance of the truth from the prediction
    effect: Floats  # of the truth from the training mean
    spread: Floats  # of the prediction from the training mean
    further: Floats  # share of the other held-out truths that are further from the prediction than its own


@dataclass(frozen=True)
class Changes:
    """By what the sums over all other perturbations change if a target does not train, ``(n_targets,)``."""

    missed: Floats
    effect: Floats
    further: Floats


def kernel(effects: Floats) -> Floats:
    """Products between the effects of perturbations, ``(..., n_perturbations, n_perturbations)``."""
    return np.asarray(effects @ np.swapaxes(effects, -1, -2))


def choose_penalties(kernels: Floats, truth: Truth, folds: Folds, penalties: tuple[float, ...]) -> Floats:
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


def fitted(kernel: Floats, train: Bools, penalty: float) -> Floats:
    """How much each training perturbation counts in the prediction of every perturbation.

    Ridge regression with an intercept, in products between perturbations: ``(n, n_perturbations,
    n_perturbations)``, rows of the predicted, columns of those that train (0 elsewhere); rows sum to 1.
    """
    n, n_perturbations = kernel.shape[:2]
    size = int(train.sum())
    mean = np.where(train, 1 / size, 0.0)
    centring = np.eye(n_perturbations) - mean
    centred = centring @ kernel @ centring.T
    inside = centred[:, train][:, :, train]
    ridge = penalty * np.trace(inside, axis1=-2, axis2=-1) / size
    # of a layer in which nothing differs every prediction is the mean
    ridge = np.where(ridge > 0, ridge, 1.0)
    slopes = np.linalg.solve(inside + ridge[:, None, None] * np.eye(size), centred[:, train])
    weights = np.zeros((n, n_perturbations, n_perturbations))
    weights[:, :, train] = np.swapaxes(slopes, -1, -2)
    return np.asarray(weights + (1 - weights.sum(axis=-1, keepdims=True)) * mean)


def decode(kernels: Floats, truth: Truth, folds: Folds, penalty: Floats) -> tuple[Errors, Floats]:
    """Decode every perturbation from the folds in which its targets are held out.

    ``kernels`` are as in :func:`choose_penalties`, which gives the ``penalty`` of every fold. A
    perturbation's own target genes do not count in its row. Returns what was missed, and how much each
    training perturbation counts in each prediction, shape ``(n, n_perturbations, n_perturbations)``.
    """
    n_perturbations = kernels.shape[-1]
    identity = np.eye(n_perturbations)
    missed, effect, spread, further = np.empty((4, n_perturbations))
    weights = np.empty(kernels.shape[1:])
    for fold, (test, train) in enumerate(zip(folds.test, folds.train, strict=True)):
        held_out, gram, mean = np.flatnonzero(test), truth.gram[fold], train / train.sum()
        predicted = fitted(kernels[fold % len(kernels)], train, float(penalty[fold]))
        weights[:, test] = predicted[:, test]
        for place, one in enumerate(held_out):
            own = truth.own[one]
            distances = squared(predicted[:, [one]] - identity[held_out], gram, own)
            missed[one] = distances[:, place].mean()
            effect[one] = squared((identity[one] - mean)[None, None], gram, own).mean()
            spread[one] = squared(predicted[:, [one]] - mean, gram, own).mean()
            further[one] = further_share(distances, place).mean()
    return Errors(missed, effect, spread, further), weights


def changes_without(kernels: Floats, truth: Truth, folds: Folds, penalty: Floats) -> Changes:
    """By what :func:`decode` would miss more or less of all others, were a target left out of the training.

    Predictions of a ridge regression without some of its rows have a closed form: they move by what the rows
    count in them, times the residuals of the rows from a fit that has not seen them.
    """
    identity = np.eye(kernels.shape[-1])
    changes = np.zeros((3, len(folds.units)))
    for fold, (test, train) in enumerate(zip(folds.test, folds.train, strict=True)):
        gram, held_out = truth.gram[fold], np.flatnonzero(test)
        rows = np.flatnonzero(train)
        rows = rows[np.argsort(folds.unit[rows], kind="stable")]
        units, starts, sizes = np.unique(folds.unit[rows], return_index=True, return_counts=True)
        predicted, mean = (
            fitted(kernels[fold % len(kernels)], train, float(penalty[fold])),
            train / train.sum(),
        )
        residuals = identity[rows] - predicted[:, rows]
        for start, size in zip(starts, sizes, strict=True):
            block = slice(start, start + size)
            seen = np.eye(size) - predicted[:, rows[block]][:, :, rows[block]]
            residuals[:, block] = np.linalg.solve(seen, residuals[:, block])
        across = gram @ np.swapaxes(residuals, -1, -2)
        # the mean without some rows is further from them, by the sum of their residuals from it
        shifts = np.add.reduceat(identity[rows] - mean, starts, axis=0) / (len(rows) - sizes)[:, None]
        for place, one in enumerate(held_out):
            own, counted = truth.own[one], predicted[:, one, rows]
            moves = np.add.reduceat(counted[..., None] * residuals, starts, axis=1)
            of_moves = np.add.reduceat(counted[:, None] * across, starts, axis=2)
            apart = predicted[:, [one]] - identity[held_out]
            distances = squared(apart, gram, own)[..., None]
            moved = distances - 2 * (apart @ of_moves - (apart @ own) @ np.swapaxes(moves @ own, -1, -2))
            moved += ((moves * np.swapaxes(of_moves, -1, -2)).sum(-1) - ((moves @ own) ** 2).sum(-1))[:, None]
            from_mean = (identity[one] - mean)[None, None]
            changes[0, units] += (moved - distances)[:, place].mean(axis=0)
            effects = squared(from_mean + shifts, gram, own) - squared(from_mean, gram, own)
            changes[1, units] += effects.mean(axis=0)
            further = further_share(moved, place) - further_share(distances, place)
            changes[2, units] += further.mean(axis=0)
    return Changes(*changes)


def squared(sums: Floats, gram: Floats, own: Floats) -> Floats:
    """Squared lengths over genes, but a perturbation's own, of weighted sums of effects."""
    of_all = ((sums @ gram) * sums).sum(axis=-1)
    return np.asarray(of_all - ((sums @ own) ** 2).sum(axis=-1))


def further_share(distances: Floats, own: int) -> Floats:
    """Share of the other truths that are further than the own one; ties, or no other, count one half."""
    n_others = distances.shape[1] - 1
    if not n_others:
        return np.full_like(distances[:, 0], 0.5)
    nearest = distances[:, [own]]
    # the own truth ties with itself
    counted = (distances > nearest) + 0.5 * (distances == nearest)
    return np.asarray((counted.sum(axis=1) - 0.5) / n_others)


def pearson_from_control(weights: Floats, effects: Floats) -> Floats:
    """Pearson correlation over genes of predicted with true effects on them, each's mean over halves."""
    centred = effects - effects.mean(axis=-1, keepdims=True)
    gram = kernel(centred)
    product = np.diagonal(weights @ gram, axis1=-2, axis2=-1)
    predicted = ((weights @ gram) * weights).sum(axis=-1)
    true = np.diagonal(gram, axis1=-2, axis2=-1)
    scale = np.sqrt(predicted * true)
    correlation = np.divide(product, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.asarray(correlation.mean(axis=0))
