"""Sums of the cells of each perturbation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.tasks.perturbation import centroids
from layerscope.tasks.perturbation.centroids import sum_groups
from layerscope.tasks.screens.sums import unit_rows


@given(
    seed=st.integers(0, 1000),
    n_cells=st.integers(0, 60),
    width=st.integers(1, 9),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
)
def test_sums_are_those_of_each_group_s_cells_and_of_their_unit_vectors(seed, n_cells, width, dtype):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n_cells, width)).astype(dtype)
    matrix[::7] = 0
    group = random.integers(-1, 5, n_cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(centroids, "VALUES_AT_ONCE", 3 * width)
        sums = sum_groups(matrix, group, 6)
    rows = matrix.astype(np.float64)
    for version, cells in ((sums.as_they_are, rows), (sums.unit_norm, unit_rows(rows))):
        assert version.counts.tolist() == [(group == item).sum() for item in range(6)]
        expected = [cells[group == item].sum(axis=0) for item in range(6)]
        np.testing.assert_allclose(version.sums, expected, rtol=0, atol=1e-12)


def test_cells_in_no_group_may_be_anything():
    matrix = np.array([[3, 4], [np.nan, np.inf], [6, 8]], dtype=np.float32)
    sums = sum_groups(matrix, np.array([1, -1, 1]), 2)
    assert sums.as_they_are.sums.tolist() == [[0, 0], [9, 12]]
    np.testing.assert_allclose(sums.unit_norm.means(), [[np.nan, np.nan], [0.6, 0.8]], rtol=1e-15)
