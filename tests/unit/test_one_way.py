import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.tasks.perturbation.inference import RIDGE, Groups, leverages, one_way_design, solve


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


@pytest.mark.parametrize(
    "design",
    [[[1, 0.5], [1, 1]], [[1, 1, 1], [1, 0, 1], [1, 0, 0]], [[0, 1], [1, 0]], [[1, 0, 1], [1, 0, 0]]],
    ids=str,
)
def test_other_designs_are_refused(design):
    with pytest.raises(ValueError, match="one-way"):
        Groups(np.array(design, dtype=float))


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
