"""Dispersions of negative-binomial fits of a one-way layout, by maximum likelihood or a posteriori."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydeseq2.grid_search import vec_nb_nll
from pydeseq2.utils import dnb_nll, nb_nll
from scipy.optimize import elementwise, minimize
from scipy.special import digamma, gammaln

from layerscope.tasks.perturbation.one_way import Array, OneWay

# where L-BFGS-B calls a starting point the optimum: scipy's default `gtol` and `ftol`
FLAT_GRADIENT = 1e-5
FLAT_RELATIVE = 2.220446049250313e-09
LOG_DISPERSION_TOLERANCE = 1e-7
# inverse dispersion from which digamma is taken by its asymptotic series
NEARLY_POISSON = 1e3
GRID = 100


class DispersionScore:
    """Gradient of the penalised negative log-likelihood in the log dispersion, gene by gene.

    The negative-binomial likelihood, Cox and Reid's adjustment ``log det(X'WX) / 2`` (for a one-way design,
    half the sum over groups of the log of the group's sum of weights, up to a constant) and, for the maximum
    a posteriori, a normal prior on the log dispersion (Love, Huber and Anders 2014).

    Parameters
    ----------
    layout
        Samples in groups.
    counts, mu
        Counts and fitted means, shape ``(n_samples, n_genes)``.
    adjust
        Whether to add Cox and Reid's adjustment.
    prior
        Mean of the log dispersion, shape ``(n_genes,)``, and its variance.
    """

    def __init__(
        self, layout: OneWay, counts: Array, mu: Array, *, adjust: bool, prior: tuple[Array, float] | None
    ) -> None:
        self.layout = layout
        self.counts = counts
        self.mu = mu
        self.adjust = adjust
        self.prior = prior

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return int(self.counts.shape[1])

    def loss(self, log_alpha: Array) -> Array:
        """The loss of every gene, up to the adjustment's constant, shape ``(n_genes,)``."""
        alpha = np.exp(log_alpha)
        loss = -constant_of_likelihood(self.counts, alpha)
        loss -= varying_part_of_likelihood(self.counts, self.mu, alpha)
        if self.adjust:
            loss += 0.5 * np.log(self.layout.sums(self.mu / (1.0 + self.mu * alpha))).sum(axis=0)
        if self.prior is not None:
            loss += (log_alpha - self.prior[0]) ** 2 / (2 * self.prior[1])
        return loss

    def __call__(self, log_alpha: Array, gene: NDArray[np.int64]) -> Array:
        """The gradient of the genes at their log dispersions, both shape ``(n,)``."""
        alpha = np.exp(log_alpha)
        size = 1.0 / alpha
        every_gene = gene.size == self.counts.shape[1] and bool((gene == np.arange(gene.size)).all())
        counts, mu = (self.counts, self.mu) if every_gene else (self.counts[:, gene], self.mu[:, gene])
        terms = np.log1p(mu * alpha) + (counts - mu) / (mu + size) - _digamma_rise(counts, size)
        gradient = -size * terms.sum(axis=0)
        if self.adjust:
            weights = mu / (1.0 + mu * alpha)
            sums = self.layout.sums(weights)
            gradient -= 0.5 * alpha * (self.layout.sums(weights**2) / sums).sum(axis=0)
        if self.prior is not None:
            mean, variance = self.prior
            gradient += (log_alpha - mean[gene]) / variance
        return np.asarray(gradient)


def descend(score: DispersionScore, start: Array, bounds: tuple[float, float]) -> Array:
    """Follow the gradient from the start to the first minimum on the way, or to the bound.

    Parameters
    ----------
    score
        Gradient of the loss.
    start
        Log dispersions to start from, shape ``(n_genes,)``, within the bounds.
    bounds
        Smallest and largest log dispersion.

    Returns
    -------
    Log dispersions, shape ``(n_genes,)``. A start is kept where PyDESeq2's L-BFGS-B stops on it: where the
    gradient, or what its first step (of the gradient's length) gains, is below the optimiser's tolerances.
    Such are the genes whose moments leave no over-dispersion: they start at the smallest dispersion and stay.
    """
    low, high = bounds
    position = np.clip(start, low, high)
    every = np.arange(len(position))
    slope = score(position, every)
    downhill = -np.sign(slope)
    gain = FLAT_RELATIVE * np.maximum(np.abs(score.loss(position)), 1.0)
    moving = (np.abs(slope) > FLAT_GRADIENT) & (slope**2 > gain)
    moving &= ~((position <= low) & (slope > 0)) & ~((position >= high) & (slope < 0))
    near, far = position.copy(), position.copy()
    bracketed = np.zeros(len(position), dtype=bool)
    step = 0.5
    while moving.any():
        gene = every[moving]
        near[gene] = far[gene]
        far[gene] = np.clip(far[gene] + step * downhill[gene], low, high)
        ahead = score(far[gene], gene)
        turned = np.sign(ahead) != np.sign(slope[gene])
        bracketed[gene[turned]] = True
        at_bound = (far[gene] <= low) | (far[gene] >= high)
        moving[gene[turned | at_bound]] = False
        step *= 2
    found = far
    inside = every[bracketed]
    if inside.size:
        root = elementwise.find_root(
            score,
            (np.minimum(near, far)[inside], np.maximum(near, far)[inside]),
            args=(inside,),
            tolerances={"xatol": LOG_DISPERSION_TOLERANCE, "xrtol": 0, "fatol": 0, "frtol": 0},
        )
        found[inside] = root.x
    return found


def as_pydeseq2(
    score: DispersionScore, gene: int, means: Array, start: float, bounds: tuple[float, float]
) -> tuple[float, bool]:
    """Fit one gene as PyDESeq2 does, in the same floating-point arithmetic.

    For starts at the smallest dispersion, where the moments leave no over-dispersion. There PyDESeq2's
    likelihood is a difference of numbers near 1e9, and its rounding errors decide whether L-BFGS-B keeps the
    start, or fails in its line search, upon which a grid search finds the optimum. Since these dispersions
    shape the trend of all genes, being PyDESeq2's fit means making its errors. What is saved is the
    determinant of Cox and Reid's adjustment, which a one-way layout gives in closed form.

    Parameters
    ----------
    score
        Of a block of genes, without a prior.
    gene
        The gene within the block.
    means
        Its fitted means, to the last bit PyDESeq2's, shape ``(n_samples,)``.
    start
        Log dispersion to start from.
    bounds
        Smallest and largest log dispersion.

    Returns
    -------
    The log dispersion, and whether L-BFGS-B converged.
    """
    counts = np.ascontiguousarray(score.counts[:, gene])
    mu = np.ascontiguousarray(means)

    def sums(values: Array) -> Array:
        return score.layout.sums(values[:, None])[:, 0]

    def loss(x: Array) -> float:
        alpha = np.exp(x[0])
        adjustment = 0.5 * np.log(sums(mu / (1 + mu * alpha))).sum() if score.adjust else 0.0
        return float(nb_nll(counts, mu, alpha) + adjustment)

    def gradient(x: Array) -> Array:
        alpha = np.exp(x[0])
        weights = mu / (1 + mu * alpha)
        adjustment = 0.5 * (sums(-(weights**2)) / sums(weights)).sum() * alpha if score.adjust else 0.0
        return np.array([alpha * dnb_nll(counts, mu, alpha) + adjustment])

    found = minimize(loss, x0=np.array([start]), jac=gradient, method="L-BFGS-B", bounds=[bounds])
    if found.success:
        return float(found.x[0]), True
    return _search_grid(score, counts, mu, bounds), False


def _search_grid(score: DispersionScore, counts: Array, mu: Array, bounds: tuple[float, float]) -> float:
    """The best of a grid over the bounds, then of a finer one around it."""

    def loss(log_alpha: Array) -> Array:
        alpha = np.exp(log_alpha)
        adjustment = np.zeros(len(alpha))
        if score.adjust:
            adjustment = 0.5 * np.log(score.layout.sums(mu[:, None] / (1 + mu[:, None] * alpha))).sum(axis=0)
        return np.asarray(vec_nb_nll(counts, mu, alpha) + adjustment)

    grid = np.linspace(*bounds, GRID)
    best = grid[np.argmin(loss(grid))]
    step = grid[1] - grid[0]
    fine = np.linspace(best - step, best + step, GRID)
    return float(fine[np.argmin(loss(fine))])


def constant_of_likelihood(counts: Array, alpha: Array) -> Array:
    """Log-likelihood terms that do not depend on the means, shape ``(n_genes,)``."""
    size = 1.0 / alpha
    binomial = gammaln(counts + size) - gammaln(counts + 1.0) - gammaln(size)
    return np.asarray((binomial - size * np.log(alpha)).sum(axis=0))


def varying_part_of_likelihood(counts: Array, mu: Array, alpha: Array) -> Array:
    size = 1.0 / alpha
    return np.asarray((counts * np.log(mu) - (counts + size) * np.log(mu + size)).sum(axis=0))


def _digamma_rise(counts: Array, size: Array) -> Array:
    """``digamma(size + counts) - digamma(size)``, without cancellation where the dispersion is tiny."""
    poisson = size > NEARLY_POISSON
    rise = np.empty_like(counts)
    rise[:, ~poisson] = digamma(counts[:, ~poisson] + size[~poisson]) - digamma(size[~poisson])
    y, x = counts[:, poisson], size[poisson]
    # the asymptotic series of digamma, whose next term is below 1e-13 here
    rise[:, poisson] = np.log1p(y / x) + y / (2 * x * (x + y)) + y * (2 * x + y) / (12 * (x * (x + y)) ** 2)
    return rise
