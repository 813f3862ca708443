"""Sums of a layer's cells by group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.tasks.screens import sums
from layerscope.tasks.screens.sums import sum_layer, unit_rows


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
    groups = np.array([group, random.permutation(group)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "VALUES_AT_ONCE", 3 * width)
        plain, unit = (sum_layer(matrix, groups, 6, unit_norm) for unit_norm in (False, True))
    rows = matrix.astype(np.float64)
    for version, cells in ((plain, rows), (unit, unit_rows(rows))):
        for labelling, own in enumerate(groups):
            assert version.counts[labelling].tolist() == [(own == item).sum() for item in range(6)]
            expected = [cells[own == item].sum(axis=0) for item in range(6)]
            np.testing.assert_allclose(version.sums[labelling], expected, rtol=0, atol=1e-12)


def test_refused_cells_and_cells_of_no_group_do_not_count():
    matrix = np.array([[3, 4], [np.nan, np.inf], [6, 8], [9, 9]], dtype=np.float32)
    groups = np.array([[1, 1, 1, -1]])
    assert sum_layer(matrix, groups, 2).sums.tolist() == [[[0, 0], [9, 12]]]
    unit = sum_layer(matrix, groups, 2, unit_norm=True)
    np.testing.assert_allclose(unit.means(), [[np.nan, np.nan], [0.6, 0.8]], rtol=1e-15)
