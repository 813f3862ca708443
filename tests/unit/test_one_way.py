import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.tasks.perturbation import one_way
from layerscope.tasks.perturbation.one_way import OneWay

RIDGE = 1e-3


@st.composite
def layouts(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=6))
    order = draw(st.permutations(range(sum(sizes))))
    return OneWay.of_groups(np.repeat(np.arange(len(sizes)), sizes)[list(order)])


def information(layout, weights):
    design = layout.design()
    return design.T @ (weights[:, None] * design)


def test_a_design_matrix_gives_back_its_layout():
    layout = OneWay.of_groups(np.array([2, 0, 1, 0, 2]))
    again = OneWay.of_design(layout.design())
    assert again.group.tolist() == [2, 0, 1, 0, 2]
    assert again.n_groups == 3


@pytest.mark.parametrize(
    "design", [[[1, 0.5], [1, 1]], [[1, 1, 1], [1, 0, 1], [1, 0, 0]], [[0, 1], [1, 0]]], ids=str
)
def test_other_designs_are_refused(design):
    with pytest.raises(ValueError, match="one-way"):
        OneWay.of_design(np.array(design, dtype=float))


@settings(max_examples=30, deadline=None)
@given(layout=layouts(), seed=st.integers(0, 10_000))
def test_solving_equals_a_matrix_solve(layout, seed):
    random = np.random.default_rng(seed)
    weights = random.gamma(1, 1, len(layout.group)) + 0.01
    right = random.normal(size=layout.n_groups)
    sums = layout.sums(weights[:, None])
    matrix = information(layout, weights) + RIDGE * np.eye(layout.n_groups)
    np.testing.assert_allclose(
        one_way.solve(sums, right[:, None], RIDGE)[:, 0], np.linalg.solve(matrix, right), rtol=1e-8
    )


@settings(max_examples=30, deadline=None)
@given(layout=layouts(), seed=st.integers(0, 10_000))
def test_leverages_and_variances_equal_those_of_the_inverse(layout, seed):
    random = np.random.default_rng(seed)
    weights = random.gamma(1, 1, len(layout.group)) + 0.01
    sums = layout.sums(weights[:, None])
    plain = information(layout, weights)
    inverse = np.linalg.inv(plain + RIDGE * np.eye(layout.n_groups))
    design = layout.design()
    np.testing.assert_allclose(
        one_way.leverages(sums, RIDGE)[layout.group, 0], np.einsum("ij,jk,ik->i", design, inverse, design)
    )
    variances = np.diag(inverse @ plain @ inverse)[1:]
    np.testing.assert_allclose(one_way.treatment_variances(sums, RIDGE)[:, 0], variances)
    contrast = np.eye(layout.n_groups)[1]
    np.testing.assert_allclose(one_way.contrast_variance(sums, contrast, RIDGE)[0], variances[0])
