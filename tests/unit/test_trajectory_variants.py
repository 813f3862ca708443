"""A layer centred, and of cells of unit length: rows beside the score that say whether it hangs on either."""

import numpy as np
import pytest

from layerscope.tables import Score
from layerscope.trajectory.scores import UndefinedPseudotimeError
from layerscope.trajectory.variants import centred, unit_norm, varied_rows

LAYER = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, np.nan], [6.0, 8.0]], dtype=np.float32)
ROW = Score(
    condition="blood",
    model="big",
    layer="01",
    depth=0.0,
    task="trajectory",
    protocol="paper",
    metric="spearman",
    estimate=0.5,
    ci_low=0.4,
    ci_high=0.6,
    n_cells=3,
)


def test_refused_cells_do_not_enter_the_mean():
    np.testing.assert_allclose(centred(LAYER)[[0, 1, 3]], [[0, 0], [-3, -4], [3, 4]])
    assert np.isnan(centred(LAYER)[2]).all()


def test_cells_get_unit_length_and_nothing_stays_nothing():
    np.testing.assert_allclose(unit_norm(LAYER)[[0, 1, 3]], [[0.6, 0.8], [0, 0], [0.6, 0.8]])


def test_both_rows_are_scored_without_an_interval():
    centred_row, unit_row = varied_rows(ROW, LAYER, "euclidean", lambda matrix: float(np.nanmax(matrix)))
    assert (centred_row.metric, centred_row.estimate) == ("spearman_centred", 4.0)
    assert (unit_row.metric, unit_row.estimate) == ("spearman_unit_norm", pytest.approx(0.8))
    assert np.isnan([centred_row.ci_low, unit_row.ci_high]).all()


def test_cosine_distances_do_not_see_length():
    asked = []
    _, unit_row = varied_rows(ROW, LAYER, "cosine", lambda matrix: asked.append(1) or 0.1)
    assert len(asked) == 1
    assert (unit_row.estimate, unit_row.status) == (0.5, "ok")
    assert "do not see the length" in unit_row.reason


def test_without_a_score_there_is_nothing_to_vary():
    row = Score(**{**ROW.__dict__, "estimate": np.nan, "status": "undefined", "reason": "constant layer"})
    rows = varied_rows(row, LAYER, "euclidean", lambda _: 1.0)
    assert {(one.status, one.reason) for one in rows} == {("undefined", "constant layer")}


def test_a_varied_layer_without_a_pseudotime_says_so():
    def score(_):
        raise UndefinedPseudotimeError("constant layer: every cell has the same embedding")

    rows = varied_rows(ROW, LAYER, "euclidean", score)
    assert {one.status for one in rows} == {"undefined"}
    assert np.isnan([one.estimate for one in rows]).all()
    assert all("constant" in one.reason for one in rows)
    (centred_row, _) = varied_rows(ROW, LAYER, "cosine", lambda _: float("nan"))
    assert "no correlation" in centred_row.reason
