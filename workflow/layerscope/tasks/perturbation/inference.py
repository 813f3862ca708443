"""DESeq2's inference for one-way designs, all genes at once, behind PyDESeq2's own interface.

In a one-way design (an intercept, and one indicator for each group but the first) the information matrix is
an arrowhead, so that every solve has a closed form; a dispersion is the root of its score, which many genes
seek at once. The model, starting values, bounds, ridge, clamp on fitted means and stopping rules are
PyDESeq2's. The score is computed without cancellation, so that machines agree on every gene. Genes on which
the iteration diverges are handed to PyDESeq2's own solver, and counted.

Shapes below: ``counts`` and ``mu`` are samples x genes, coefficients and sums of weights groups x genes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydeseq2.default_inference import DefaultInference
from pydeseq2.utils import nb_nll
from scipy.optimize import elementwise
from scipy.special import digamma

from layerscope.arrays import Bools, Floats, Integers

RIDGE = 1e-6
GENES_AT_ONCE = 256
# dispersion below which a series replaces a difference of digammas
SERIES_BELOW = 0.01
# where L-BFGS-B calls a starting point the optimum: scipy's default `gtol` and `ftol`
FLAT_GRADIENT, FLAT_RELATIVE = 1e-5, 2.220446049250313e-09
LOG_DISPERSION_TOLERANCE = 1e-7


def one_way_design(group: Integers) -> Floats:
    """An intercept, and an indicator for each group from 1, shape ``(n_samples, n_groups)``."""
    design: Floats = (group[:, None] == np.arange(group.max() + 1)).astype(np.float64)
    design[:, 0] = 1.0
    return design


class Groups:
    """Samples in groups, of which 0 is the reference, from the matrix of :func:`one_way_design`."""

    def __init__(self, design: Floats) -> None:
        indicators = np.asarray(design, dtype=np.float64)[:, 1:]
        self.of_sample = (indicators @ np.arange(1, indicators.shape[1] + 1)).astype(np.int64)
        self.sizes = np.bincount(self.of_sample, minlength=indicators.shape[1] + 1)
        self._order = np.argsort(self.of_sample, kind="stable")
        self._starts = np.cumsum(self.sizes) - self.sizes

    def sums(self, values: Floats) -> Floats:
        """Sums over the samples of each group."""
        return np.asarray(np.add.reduceat(values[self._order], self._starts, axis=0))

    def means(self, values: Floats) -> Floats:
        """Means over the samples of each group."""
        return self.sums(values) / self.sizes[:, None]

    def predictors(self, beta: Floats) -> Floats:
        """Linear predictors of the samples from coefficients in treatment coding."""
        eta = beta + beta[0]
        eta[0] = beta[0]
        return np.asarray(eta[self.of_sample])


def solve(weights: Floats, right: Floats) -> Floats:
    """Solve ``(X'WX + RIDGE I) beta = right`` for every gene, from the groups' sums of weights."""
    damped = weights[1:] + RIDGE
    beta = np.empty(np.broadcast_shapes(weights.shape, right.shape))
    beta[0] = (right[0] - (weights[1:] / damped * right[1:]).sum(axis=0)) / _pivot(weights)
    beta[1:] = (right[1:] - weights[1:] * beta[0]) / damped
    return beta


def leverages(weights: Floats) -> Floats:
    """``x' (X'WX + RIDGE I)^-1 x`` for a sample of each group, from the groups' sums of weights."""
    pivot = _pivot(weights)
    damped = weights[1:] + RIDGE
    intercept = (1.0 - weights[1:] / damped) / pivot
    return np.vstack([1.0 / pivot, intercept + (1.0 - weights[1:] * intercept) / damped])


def _pivot(weights: Floats) -> Floats:
    """The intercept's pivot once every other row is eliminated, one per gene."""
    return np.asarray(weights[0] + RIDGE + (RIDGE * weights[1:] / (weights[1:] + RIDGE)).sum(axis=0))


class OneWayInference(DefaultInference):  # type: ignore[misc]
    """Inference for one-way designs: what a fit of fold changes calls is vectorised, the rest PyDESeq2's."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__(n_cpus=1)
        self.threads = threads
        self.n_handed_over = 0  # genes that diverged, which PyDESeq2's own solver fitted

    def lin_reg_mu(
        self, counts: Floats, size_factors: Floats, design_matrix: Floats, min_mu: float
    ) -> Floats:
        """Fitted means of the linear model: group means of normalised counts, at least ``min_mu``."""
        groups, size = Groups(design_matrix), np.asarray(size_factors, dtype=np.float64)
        normed = counts / size[:, None]
        return np.asarray(np.maximum(size[:, None] * groups.means(normed)[groups.of_sample], min_mu))

    def fit_rough_dispersions(self, normed_counts: Floats, design_matrix: Floats) -> Floats:
        """Dispersions by moments of the residuals."""
        groups = Groups(design_matrix)
        free = len(groups.of_sample) - len(groups.sizes)
        mean = np.maximum(groups.means(normed_counts), 1)[groups.of_sample]
        rough = ((normed_counts - mean) ** 2 - mean) / (free * mean**2)
        return np.asarray(np.maximum(rough.sum(axis=0), 0))

    def alpha_mle(
        self,
        counts: Floats,
        design_matrix: Floats,
        mu: Floats,
        alpha_hat: Floats,
        min_disp: float,
        max_disp: float,
        prior_disp_var: float | None = None,
        cr_reg: bool = True,
        prior_reg: bool = False,
        optimizer: str = "L-BFGS-B",
    ) -> tuple[Floats, Bools]:
        """Dispersions of largest (adjusted, penalised) likelihood, and whether each fit converged."""
        groups, variance = Groups(design_matrix), prior_disp_var if prior_reg else None
        bounds = (float(np.log(min_disp)), float(np.log(max_disp)))

        def fit(genes: slice) -> Floats:
            start = np.log(np.asarray(alpha_hat[genes], dtype=np.float64))
            loss = DispersionLoss(groups, counts[:, genes], mu[:, genes], start, variance)
            return np.exp(descend(loss, start, bounds))

        dispersions = np.concatenate(self._over_genes(fit, counts))
        return dispersions, np.ones(len(dispersions), dtype=bool)

    def irls(
        self,
        counts: Floats,
        size_factors: Floats,
        design_matrix: Floats,
        disp: Floats,
        min_mu: float,
        beta_tol: float,
        min_beta: float = -30,
        max_beta: float = 30,
        optimizer: str = "L-BFGS-B",
        maxiter: int = 250,
    ) -> tuple[Floats, Floats, Floats, Bools]:
        """Coefficients (genes x groups), means and hat diagonals (samples x genes), and which converged."""
        size = np.asarray(size_factors, dtype=np.float64)
        model = Regression(Groups(design_matrix), size[:, None], min_mu, beta_tol, max_beta, maxiter)
        fits = self._over_genes(lambda genes: model.fit(counts[:, genes], disp[genes]), counts)
        beta, mu, hat, diverged = (np.concatenate(parts, axis=-1) for parts in zip(*fits, strict=True))
        converged = ~diverged
        if diverged.any():
            self.n_handed_over += int(diverged.sum())
            limits = (min_mu, beta_tol, min_beta, max_beta, optimizer, maxiter)
            solved = super().irls(counts[:, diverged], size, design_matrix, disp[diverged], *limits)
            beta[:, diverged] = solved[0].T
            mu[:, diverged], hat[:, diverged], converged[diverged] = solved[1:]
        return beta.T, mu, hat, converged

    def _over_genes(self, work: Callable[[slice], Any], counts: Floats) -> list[Any]:
        """Do ``work`` on blocks of the genes of ``counts``."""
        starts = range(0, counts.shape[1], GENES_AT_ONCE)
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(work, [slice(start, start + GENES_AT_ONCE) for start in starts]))


@dataclass(frozen=True)
class Regression:
    """Negative-binomial regression of a one-way design: sizes as a column, and PyDESeq2's limits."""

    groups: Groups
    size_factors: Floats
    min_mu: float
    tolerance: float
    max_beta: float
    max_iterations: int

    def fit(self, counts: Floats, alpha: Floats) -> tuple[Floats, Floats, Floats, Bools]:
        """Coefficients in treatment coding, means and hat diagonals of samples, and which genes diverged."""
        eta = self.groups.means(np.log(counts / self.size_factors + 0.1))
        beta = eta - eta[0]
        beta[0] = eta[0]
        diverged = np.zeros(counts.shape[1], dtype=bool)
        deviance = np.full(counts.shape[1], 1000.0)
        active = np.arange(counts.shape[1])
        for _ in range(self.max_iterations - 1):
            proposed = self._step(counts[:, active], alpha[active], beta[:, active])
            # not `> max_beta` alone: a coefficient that is not a number has diverged too
            lost = ~(np.abs(proposed) <= self.max_beta).all(axis=0)
            diverged[active[lost]] = True
            active, proposed = active[~lost], proposed[:, ~lost]
            if not active.size:
                break
            beta[:, active] = proposed
            before = deviance[active]
            after = 2.0 * nb_nll(counts[:, active], self._clamped_means(proposed), alpha[active])
            deviance[active] = after
            active = active[np.abs(after - before) / (np.abs(after) + 0.1) > self.tolerance]
        diverged[active] = True
        # leverages come from clamped means, as in the R package
        mu = self._clamped_means(beta)
        weights = mu / (1.0 + mu * alpha)
        hat = weights * leverages(self.groups.sums(weights))[self.groups.of_sample]
        return beta, self._means(beta), hat, diverged

    def _step(self, counts: Floats, alpha: Floats, beta: Floats) -> Floats:
        mu = self._clamped_means(beta)
        weights = mu / (1.0 + mu * alpha)
        right = self.groups.sums(weights * (np.log(mu / self.size_factors) + (counts - mu) / mu))
        right[0] = right.sum(axis=0)
        return solve(self.groups.sums(weights), right)

    def _means(self, beta: Floats) -> Floats:
        return np.asarray(self.size_factors * np.exp(self.groups.predictors(beta)))

    def _clamped_means(self, beta: Floats) -> Floats:
        return np.maximum(self._means(beta), self.min_mu)


@dataclass(frozen=True)
class DispersionLoss:
    """Penalised negative log-likelihood of genes in their log dispersions, and its gradient.

    The negative-binomial likelihood; Cox and Reid's adjustment ``log det(X'WX) / 2``, which is half the sum
    of the logs of the groups' weights, but for a constant; and, for the maximum a posteriori, a normal prior
    on the log dispersion around ``expected``.
    """

    groups: Groups
    counts: Floats
    mu: Floats
    expected: Floats
    variance: float | None

    def value(self, log_alpha: Floats) -> Floats:
        """The loss of every gene."""
        alpha = np.exp(log_alpha)
        weights = self.groups.sums(self.mu / (1.0 + self.mu * alpha))
        loss: Floats = nb_nll(self.counts, self.mu, alpha) + 0.5 * np.log(weights).sum(axis=0)
        if self.variance is not None:
            loss += (log_alpha - self.expected) ** 2 / (2 * self.variance)
        return loss

    def gradient(self, log_alpha: Floats, gene: NDArray[np.int64]) -> Floats:
        """The gradient of some genes, by index, at their log dispersions."""
        alpha = np.exp(log_alpha)
        counts, mu = self.counts[:, gene], self.mu[:, gene]
        ratio = (mu - counts) * alpha / (1.0 + counts * alpha)
        terms = np.log1p(ratio) - ratio / (1.0 + ratio) - digamma_beyond_log(counts, alpha)
        weights = mu / (1.0 + mu * alpha)
        shares = self.groups.sums(weights**2) / self.groups.sums(weights)
        gradient: Floats = -0.5 * alpha * shares.sum(axis=0) - terms.sum(axis=0) / alpha
        if self.variance is not None:
            gradient += (log_alpha - self.expected[gene]) / self.variance
        return gradient


def digamma_beyond_log(counts: Floats, alpha: Floats) -> Floats:
    """``digamma(counts + 1 / alpha) - digamma(1 / alpha) - log(1 + counts * alpha)``, one ``alpha`` per gene.

    For small ``alpha`` by the asymptotic series: the difference of two digammas would be rounding errors.
    """
    beyond = np.empty(counts.shape)
    small = alpha < SERIES_BELOW
    y, size = counts[:, ~small], 1.0 / alpha[~small]
    beyond[:, ~small] = digamma(y + size) - digamma(size) - np.log1p(y / size)
    y, a = counts[:, small], alpha[small]
    shrunk = 1.0 / (1.0 + y * a)
    series = a / 2 + (1.0 + shrunk) * (a**2 / 12 - (1.0 + shrunk**2) * a**4 / 120)
    beyond[:, small] = y * a * shrunk * series
    return beyond


def descend(loss: DispersionLoss, start: Floats, bounds: tuple[float, float]) -> Floats:
    """Log dispersions at the first minimum downhill of each start, or at the bound on the way.

    A gene stays at its start where PyDESeq2's L-BFGS-B does: where the gradient, or what its first step (of
    the gradient's length) gains, is below the optimiser's tolerances.
    """
    low, high = bounds
    near = np.clip(start, low, high)
    every = np.arange(len(near))
    slope = loss.gradient(near, every)
    gain = FLAT_RELATIVE * np.maximum(np.abs(loss.value(near)), 1.0)
    moving = (np.abs(slope) > FLAT_GRADIENT) & (slope**2 > gain)
    moving &= ~((near <= low) & (slope > 0)) & ~((near >= high) & (slope < 0))
    far = near.copy()
    bracketed = np.zeros(len(near), dtype=bool)
    step = 0.5
    while moving.any():
        gene = every[moving]
        near[gene] = far[gene]
        far[gene] = np.clip(far[gene] - step * np.sign(slope[gene]), low, high)
        turned = np.sign(loss.gradient(far[gene], gene)) != np.sign(slope[gene])
        bracketed[gene[turned]] = True
        moving[gene] = ~turned & (far[gene] > low) & (far[gene] < high)
        step *= 2
    inside = every[bracketed]
    if inside.size:
        far[inside] = elementwise.find_root(
            loss.gradient,
            (np.minimum(near, far)[inside], np.maximum(near, far)[inside]),
            args=(inside,),
            tolerances={"xatol": LOG_DISPERSION_TOLERANCE, "xrtol": 0, "fatol": 0, "frtol": 0},
        ).x
    return far
