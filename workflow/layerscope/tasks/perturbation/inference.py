"""DESeq2's inference for one-way designs, all genes at once.

A replacement for PyDESeq2's own inference class, which fits gene by gene. The model, the starting values, the
bounds, the ridge, the clamp on fitted means and the stopping rules are PyDESeq2's; what differs is that a
one-way design needs no matrix solve (``one_way``) and that a dispersion is found
as the root of its score instead of by L-BFGS-B (but see
``dispersions.as_pydeseq2``). Genes on which the iteration diverges are handed to
PyDESeq2's own solver, one by one, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydeseq2.default_inference import DefaultInference
from pydeseq2.utils import fit_lin_mu, irls_solver
from scipy.stats import norm

from layerscope.tasks.perturbation import one_way
from layerscope.tasks.perturbation.dispersions import (
    DispersionScore,
    as_pydeseq2,
    constant_of_likelihood,
    descend,
    varying_part_of_likelihood,
)
from layerscope.tasks.perturbation.one_way import Array, OneWay

RIDGE = 1e-6
GENES_AT_ONCE = 256
# log dispersion below which rounding errors in the likelihood decide where L-BFGS-B stops
NOISY = np.log(1e-6)


class OneWayInference(DefaultInference):  # type: ignore[misc]
    """Inference for designs of an intercept and one indicator per group but the first.

    Parameters
    ----------
    threads
        Blocks of genes worked on at the same time. Results do not depend on it.

    Attributes
    ----------
    n_handed_over
        Genes on which the iteration diverged and that PyDESeq2's own solver fitted.
    """

    def __init__(self, threads: int = 1) -> None:
        super().__init__(n_cpus=1)
        self.threads = threads
        self.n_handed_over = 0
        self._linear: Callable[[Array], Array] | None = None

    def lin_reg_mu(self, counts: Array, size_factors: Array, design_matrix: Array, min_mu: float) -> Array:
        """Fitted means of the linear model: group means of normalised counts, at least ``min_mu``."""
        layout = OneWay.of_design(design_matrix)
        size = np.asarray(size_factors, dtype=np.float64)[:, None]
        self._linear = partial(
            fit_lin_mu, size_factors=size[:, 0], design_matrix=np.asarray(design_matrix), min_mu=min_mu
        )
        return np.asarray(np.maximum(size * _group_means(layout, counts / size), min_mu))

    def fit_rough_dispersions(self, normed_counts: Array, design_matrix: Array) -> Array:
        """Dispersions by moments of the residuals, as PyDESeq2's function of this name."""
        layout = OneWay.of_design(design_matrix)
        free = len(layout.group) - layout.n_groups
        if free == 0:
            raise ValueError(
                "as many groups as samples: there are no replicates to estimate dispersions from"
            )
        mean = np.maximum(_group_means(layout, normed_counts), 1)
        rough = ((normed_counts - mean) ** 2 - mean) / (free * mean**2)
        return np.asarray(np.maximum(rough.sum(axis=0), 0))

    def alpha_mle(
        self,
        counts: Array,
        design_matrix: Array,
        mu: Array,
        alpha_hat: Array,
        min_disp: float,
        max_disp: float,
        prior_disp_var: float | None = None,
        cr_reg: bool = True,
        prior_reg: bool = False,
        optimizer: str = "L-BFGS-B",
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Dispersions that maximise the (Cox-Reid adjusted, penalised) likelihood, shape ``(n_genes,)``."""
        layout = OneWay.of_design(design_matrix)
        start = np.log(np.asarray(alpha_hat, dtype=np.float64))
        bounds = (float(np.log(min_disp)), float(np.log(max_disp)))

        def fit(genes: slice) -> tuple[Array, NDArray[np.bool_]]:
            score = DispersionScore(
                layout,
                np.asarray(counts[:, genes], dtype=np.float64),
                np.asarray(mu[:, genes], dtype=np.float64),
                adjust=cr_reg,
                prior=(start[genes], prior_disp_var) if prior_reg and prior_disp_var else None,
            )
            found, converged = descend(score, start[genes], bounds), np.ones(score.n_genes, dtype=bool)
            for gene in np.flatnonzero(start[genes] < NOISY):
                means = self._linear(counts[:, genes][:, gene]) if self._linear else score.mu[:, gene]
                found[gene], converged[gene] = as_pydeseq2(
                    score, int(gene), means, start[genes][gene], bounds
                )
            return np.exp(found), converged

        dispersions, converged = zip(*self._over_genes(fit, counts.shape[1]), strict=True)
        return np.concatenate(dispersions), np.concatenate(converged)

    def irls(
        self,
        counts: Array,
        size_factors: Array,
        design_matrix: Array,
        disp: Array,
        min_mu: float,
        beta_tol: float,
        min_beta: float = -30,
        max_beta: float = 30,
        optimizer: str = "L-BFGS-B",
        maxiter: int = 250,
    ) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
        """Fit the negative-binomial GLM by iteratively reweighted least squares.

        Returns
        -------
        Coefficients ``(n_genes, n_groups)``, means ``(n_samples, n_genes)``, hat diagonals
        ``(n_samples, n_genes)`` and whether each gene converged.
        """
        layout = OneWay.of_design(design_matrix)
        size = np.asarray(size_factors, dtype=np.float64)
        limits = Limits(min_mu=min_mu, tolerance=beta_tol, max_beta=max_beta, max_iterations=maxiter)

        def fit(genes: slice) -> tuple[Array, Array, Array, NDArray[np.bool_], int]:
            observed = np.asarray(counts[:, genes], dtype=np.float64)
            alpha = np.asarray(disp[genes], dtype=np.float64)
            beta, diverged = reweighted_least_squares(layout, observed, size, alpha, limits)
            mu, hat = _means_and_leverages(layout, beta, size, alpha, min_mu)
            converged = np.ones(len(alpha), dtype=bool)
            for gene in np.flatnonzero(diverged):
                beta[:, gene], mu[:, gene], hat[:, gene], converged[gene] = irls_solver(
                    counts=observed[:, gene],
                    size_factors=size,
                    design_matrix=design_matrix,
                    disp=float(alpha[gene]),
                    min_mu=min_mu,
                    beta_tol=beta_tol,
                    min_beta=min_beta,
                    max_beta=max_beta,
                    optimizer=optimizer,
                    maxiter=maxiter,
                )
            return beta, mu, hat, converged, int(diverged.sum())

        betas, means, hats, converged, handed = zip(*self._over_genes(fit, counts.shape[1]), strict=True)
        self.n_handed_over += sum(handed)
        return (
            np.concatenate(betas, axis=1).T,
            np.concatenate(means, axis=1),
            np.concatenate(hats, axis=1),
            np.concatenate(converged),
        )

    def wald_test(
        self,
        design_matrix: Array,
        disp: Array,
        lfc: Array,
        mu: Array,
        ridge_factor: Array,
        contrast: Array,
        lfc_null: Any,
        alt_hypothesis: str | None = None,
    ) -> tuple[Array, Array, Array]:
        """Two-sided Wald test of one contrast: p-values, statistics, standard errors."""
        if alt_hypothesis is not None:
            raise NotImplementedError("only the two-sided Wald test is implemented for one-way designs")
        layout = OneWay.of_design(design_matrix)
        weights = layout.sums(mu / (1.0 + mu * np.asarray(disp)))
        variance = one_way.contrast_variance(weights, contrast, float(np.diag(ridge_factor)[0]))
        error = np.sqrt(variance)
        statistic = ((lfc - lfc_null) @ contrast) / error
        return 2.0 * norm.sf(np.abs(statistic)), statistic, error

    def _over_genes(self, work: Callable[[slice], Any], n_genes: int) -> list[Any]:
        """Do ``work`` on blocks of genes that do not depend on the number of threads."""
        blocks = list(_blocks(n_genes))
        if self.threads < 2 or len(blocks) < 2:
            return [work(block) for block in blocks]
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(work, blocks))


class Limits:
    """Where the reweighted least squares clamp, stop and give up (PyDESeq2's values)."""

    def __init__(self, *, min_mu: float, tolerance: float, max_beta: float, max_iterations: int) -> None:
        self.min_mu = min_mu
        self.tolerance = tolerance
        self.max_beta = max_beta
        self.max_iterations = max_iterations


def reweighted_least_squares(
    layout: OneWay, counts: Array, size_factors: Array, alpha: Array, limits: Limits
) -> tuple[Array, NDArray[np.bool_]]:
    """Coefficients in treatment coding, shape ``(n_groups, n_genes)``, and which genes diverged."""
    size = size_factors[:, None]
    eta = _group_means(layout, np.log(counts / size + 0.1), spread=False)
    beta = eta - eta[0]
    beta[0] = eta[0]
    diverged = np.zeros(counts.shape[1], dtype=bool)
    deviance = np.full(counts.shape[1], 1000.0)
    active = np.arange(counts.shape[1])
    constant = constant_of_likelihood(counts, alpha)
    for _ in range(limits.max_iterations - 1):
        observed, dispersion = counts[:, active], alpha[active]
        mu = _clamped_means(layout, beta[:, active], size, limits.min_mu)
        weights = mu / (1.0 + mu * dispersion)
        working = np.log(mu / size) + (observed - mu) / mu
        right = layout.sums(weights * working)
        right[0] = right.sum(axis=0)
        proposed = one_way.solve(layout.sums(weights), right, RIDGE)
        # not `> max_beta` alone: a coefficient that is not a number has diverged too
        lost = ~(np.abs(proposed) <= limits.max_beta).all(axis=0)
        diverged[active[lost]] = True
        active, proposed = active[~lost], proposed[:, ~lost]
        beta[:, active] = proposed
        mu = _clamped_means(layout, proposed, size, limits.min_mu)
        old = deviance[active]
        deviance[active] = 2.0 * (
            constant[active] + varying_part_of_likelihood(counts[:, active], mu, alpha[active])
        )
        change = np.abs(deviance[active] - old) / (np.abs(deviance[active]) + 0.1)
        active = active[change > limits.tolerance]
        if not active.size:
            break
    diverged[active] = True
    return beta, diverged


def _group_means(layout: OneWay, values: Array, spread: bool = True) -> Array:
    means = layout.sums(np.asarray(values, dtype=np.float64)) / layout.sizes[:, None]
    return means[layout.group] if spread else means


def _clamped_means(layout: OneWay, beta: Array, size: Array, min_mu: float) -> Array:
    return np.maximum(size * np.exp(one_way.to_groups(beta))[layout.group], min_mu)


def _means_and_leverages(
    layout: OneWay, beta: Array, size_factors: Array, alpha: Array, min_mu: float
) -> tuple[Array, Array]:
    """Means without the clamp, and hat diagonals from means with it (as PyDESeq2, after the R package)."""
    unclamped = size_factors[:, None] * np.exp(one_way.to_groups(beta))[layout.group]
    mu = np.maximum(unclamped, min_mu)
    weights = mu / (1.0 + mu * alpha)
    return unclamped, weights * one_way.leverages(layout.sums(weights), RIDGE)[layout.group]


def _blocks(n_genes: int) -> Iterator[slice]:
    for start in range(0, n_genes, GENES_AT_ONCE):
        yield slice(start, min(start + GENES_AT_ONCE, n_genes))
