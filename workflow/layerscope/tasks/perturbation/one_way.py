"""Algebra of a one-way layout: samples in groups, each compared with the first group.

In treatment coding (an intercept, and one indicator per group but the first) the information matrix of a
weighted fit is an arrowhead, so that every system with it is solved in closed form, for all genes at once.
Group 0 is the reference group. ``S`` below are the groups' sums of weights, shape ``(n_groups, n_genes)``,
and ``ridge`` is added to the diagonal of the information matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OneWay:
    """Samples in groups.

    Attributes
    ----------
    group
        Group of each sample, shape ``(n_samples,)``, from 0 (the reference group) to ``n_groups - 1``.
    order
        Samples sorted by group, shape ``(n_samples,)``.
    starts
        Where each group starts in ``order``, shape ``(n_groups,)``.
    """

    group: NDArray[np.int64]
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of_groups(cls, group: NDArray[np.int64]) -> OneWay:
        """Make a layout from the group of each sample; every group from 0 on must have a sample."""
        group = np.asarray(group, dtype=np.int64)
        sizes = np.bincount(group)
        if sizes.size == 0 or (sizes == 0).any():
            raise ValueError("every group of a one-way layout needs at least one sample")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return cls(group=group, order=np.argsort(group, kind="stable"), starts=starts)

    @classmethod
    def of_design(cls, design: Array) -> OneWay:
        """Recognise a one-way layout by its design matrix, shape ``(n_samples, n_groups)``.

        Raises
        ------
        ValueError
            If the matrix is not an intercept and one indicator for each group but the first.
        """
        design = np.asarray(design, dtype=np.float64)
        indicators = design[:, 1:]
        is_one_way = (
            design.ndim == 2
            and design.shape[1] >= 1
            and bool((design[:, 0] == 1).all())
            and bool(np.isin(indicators, (0.0, 1.0)).all())
            and bool((indicators.sum(axis=1) <= 1).all())
        )
        if not is_one_way:
            raise ValueError("not a one-way design in treatment coding: intercept, then one column per group")
        group = (
            np.where(indicators.any(axis=1), indicators.argmax(axis=1) + 1, 0) if indicators.size else None
        )
        return cls.of_groups(np.zeros(len(design), dtype=np.int64) if group is None else group)

    @property
    def n_groups(self) -> int:
        """Number of groups, the reference group included."""
        return len(self.starts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Samples per group, shape ``(n_groups,)``."""
        return np.asarray(np.bincount(self.group, minlength=self.n_groups), dtype=np.int64)

    def design(self) -> Array:
        """The design matrix in treatment coding, shape ``(n_samples, n_groups)``."""
        matrix = np.zeros((len(self.group), self.n_groups))
        matrix[np.arange(len(self.group)), self.group] = 1.0
        matrix[:, 0] = 1.0
        return matrix

    def sums(self, values: Array) -> Array:
        """Sum samples by group: ``(n_samples, n_genes)`` to ``(n_groups, n_genes)``."""
        return np.asarray(np.add.reduceat(values[self.order], self.starts, axis=0))


def to_groups(beta: Array) -> Array:
    """Treatment coefficients to one linear predictor per group, both ``(n_groups, n_genes)``."""
    eta: Array = beta + beta[0]
    eta[0] = beta[0]
    return eta


def solve(S: Array, right: Array, ridge: float) -> Array:
    """Solve ``(X'WX + ridge I) beta = right`` for every gene.

    Parameters
    ----------
    S
        Sums of weights, shape ``(n_groups, n_genes)``.
    right
        Right-hand side in treatment coding, shape ``(n_groups, n_genes)`` or ``(n_groups, 1)``.

    Returns
    -------
    ``beta`` in treatment coding, shape ``(n_groups, n_genes)``.
    """
    damped = S[1:] + ridge
    share = S[1:] / damped
    beta = np.empty(np.broadcast_shapes(S.shape, right.shape))
    beta[0] = (right[0] - (share * right[1:]).sum(axis=0)) / _pivot(S, ridge)
    beta[1:] = (right[1:] - S[1:] * beta[0]) / damped
    return beta


def leverages(S: Array, ridge: float) -> Array:
    """``x' (X'WX + ridge I)^-1 x`` for a sample of each group, shape ``(n_groups, n_genes)``."""
    damped = S[1:] + ridge
    pivot = _pivot(S, ridge)
    found = np.empty_like(S)
    found[0] = 1.0 / pivot
    intercept = (1.0 - S[1:] / damped) / pivot
    found[1:] = intercept + (1.0 - S[1:] * intercept) / damped
    return found


def contrast_variance(S: Array, contrast: Array, ridge: float) -> Array:
    """Variance ``c'H (X'WX) H c`` of a contrast, with ``H = (X'WX + ridge I)^-1``, shape ``(n_genes,)``."""
    weights = solve(S, np.asarray(contrast, dtype=np.float64)[:, None], ridge)
    return np.asarray(contrast @ weights - ridge * (weights**2).sum(axis=0))


def treatment_variances(S: Array, ridge: float) -> Array:
    """:func:`contrast_variance` of every group against the reference, shape ``(n_groups - 1, n_genes)``."""
    damped = S[1:] + ridge
    share = S[1:] / damped
    intercept = -share / _pivot(S, ridge)
    own = (1.0 - S[1:] * intercept) / damped
    squares = intercept**2 * (1.0 + (share**2).sum(axis=0)) + (1.0 - 2.0 * S[1:] * intercept) / damped**2
    return np.asarray(own - ridge * squares)


def _pivot(S: Array, ridge: float) -> Array:
    """The intercept's pivot once every other row is eliminated, shape ``(n_genes,)``."""
    return np.asarray(S[0] + ridge + (ridge * S[1:] / (S[1:] + ridge)).sum(axis=0))
