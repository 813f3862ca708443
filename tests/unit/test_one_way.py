from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.tasks.perturbation.inference import (
    RIDGE,
    DispersionLoss,
    Groups,
    leverages,
    one_way_design,
    solve,
)


@st.composite
def weighted_samples(draw):
    """Groups of samples in any order, a weight for each sample, and the ridged information matrix."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    order = draw(st.permutations(range(sum(sizes))))
    design = one_way_design(np.repeat(np.arange(len(sizes)), sizes)[list(order)])
    weights = np.random.default_rng(draw(st.integers(0, 10_000))).gamma(1, 1, len(design)) + 0.01
    information = design.T @ (weights[:, None] * design) + RIDGE * np.eye(len(sizes))
    return design, weights, information


def test_a_design_matrix_gives_back_its_groups():
    groups = Groups(one_way_design(np.array([2, 0, 1, 0, 2])))
    assert groups.of_sample.tolist() == [2, 0, 1, 0, 2]
    assert groups.means(np.arange(5.0)[:, None])[:, 0].tolist() == [2, 2, 2]


@settings(max_examples=30, deadline=None)
@given(samples=weighted_samples(), seed=st.integers(0, 10_000))
def test_solving_equals_a_matrix_solve(samples, seed):
    design, weights, information = samples
    right = np.random.default_rng(seed).normal(size=design.shape[1])
    beta = solve(Groups(design).sums(weights[:, None]), right[:, None])[:, 0]
    np.testing.assert_allclose(beta, np.linalg.solve(information, right), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(samples=weighted_samples())
def test_leverages_equal_those_of_the_inverse(samples):
    design, weights, information = samples
    groups = Groups(design)
    expected = np.einsum("ij,jk,ik->i", design, np.linalg.inv(information), design)
    np.testing.assert_allclose(
        leverages(groups.sums(weights[:, None]))[groups.of_sample, 0], expected, rtol=1e-6
    )


def exact_score(y, mu, alpha):
    """Gradient of one sample's loss in the log dispersion, in 50 digits."""
    with localcontext(prec=50):
        mu, alpha = Decimal(mu), Decimal(alpha)
        digammas = sum((alpha / (1 + k * alpha) for k in range(y)), Decimal(0))
        terms = (1 + mu * alpha).ln() + (y - mu) * alpha / (1 + mu * alpha) - digammas
        return float(-terms / alpha)


@pytest.mark.parametrize("alpha", [1e-8, 1e-5, 0.009, 0.011, 1.0, 30.0])
def test_the_score_of_a_dispersion_has_no_rounding_errors(alpha):
    random = np.random.default_rng(2)
    mu = np.exp(random.normal(2, 1.5, 30))
    counts = random.poisson(mu)
    groups = Groups(one_way_design(np.repeat([0, 1, 2], 10)))
    loss = DispersionLoss(groups, counts[:, None], mu[:, None], np.zeros(1), None)
    log_alpha = np.log([alpha])
    terms = [
        exact_score(int(y), float(m), float(np.exp(log_alpha)[0])) for y, m in zip(counts, mu, strict=True)
    ]
    weights = mu / (1 + mu * np.exp(log_alpha))
    shares = groups.sums(weights[:, None] ** 2) / groups.sums(weights[:, None])
    adjustment = -np.exp(log_alpha)[0] * shares.sum() / 2
    score = loss.gradient(log_alpha, np.array([0]))[0] - adjustment
    assert abs(score - sum(terms)) < 1e-7 * max(np.abs(terms))
