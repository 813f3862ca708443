"""A layer centred, and of cells of unit length: rows beside the score that say whether it hangs on either."""

from dataclasses import replace

import numpy as np
import pytest

from layerscope.tables import Score
from layerscope.tasks.scored import NoScoreError
from layerscope.tasks.trajectory.layer_search import search_layer
from layerscope.tasks.trajectory.variants import varied_rows

ABOUT = {"condition": "blood", "model": "big", "layer": "01", "depth": 0.0, "task": "trajectory"}
ROW = Score(**ABOUT, protocol="paper", metric="spearman", estimate=0.5, ci_low=0.4, ci_high=0.6, n_cells=3)


def layer_with_refused_cells():
    layer = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32) + 3
    layer[[7, 30]] = np.nan
    return layer


def test_for_cosine_distances_the_layer_is_centred_without_its_refused_cells():
    layer = layer_with_refused_cells()
    search = search_layer(layer, 10, "cosine")
    embedded = layer[np.isfinite(layer).all(axis=1)].astype(np.float64)
    alone = search_layer(embedded - embedded.mean(axis=0), 10, "cosine").whole.neighbours
    np.testing.assert_array_equal(search.varied.neighbours.indices, alone.indices)
    np.testing.assert_allclose(search.varied.neighbours.distances, alone.distances, rtol=1e-4, atol=1e-6)
    assert (search.whole.neighbours.indices != alone.indices).any()
    assert "2 refused cells" in search.remarks[0]


def test_for_euclidean_distances_cells_get_unit_length():
    layer = layer_with_refused_cells()
    search = search_layer(layer, 10, "euclidean")
    by_cosine = search_layer(layer, 10, "cosine")
    np.testing.assert_array_equal(search.varied.neighbours.indices, by_cosine.whole.neighbours.indices)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_layer_whose_cells_are_nearly_alike_says_so(metric):
    noise = np.random.default_rng(0).normal(size=(60, 5))
    (remark,) = search_layer(3 + 3e-4 * noise, 10, metric).remarks
    assert "nearly alike" in remark
    assert search_layer(3 + 3e-2 * noise, 10, metric).remarks == []


def test_a_part_has_its_own_neighbours_or_none_where_it_is_too_small():
    layer = layer_with_refused_cells()
    part = np.arange(5, 40)
    search = search_layer(layer, 15, "cosine", [part, part[:10]], 8)
    alone = search_layer(layer[part], 8, "cosine").whole
    np.testing.assert_array_equal(search.parts[0].cells, part[alone.cells])
    np.testing.assert_array_equal(search.parts[0].neighbours.indices, alone.neighbours.indices)
    assert search.parts[1] is None


@pytest.mark.parametrize(
    ("metric", "varied", "unseen"),
    [("cosine", "centred", "unit_norm"), ("euclidean", "unit_norm", "centred")],
)
def test_the_variation_that_distances_do_not_see_is_the_score_itself(metric, varied, unseen):
    rows = {row.metric.removeprefix("spearman_"): row for row in varied_rows(ROW, metric, lambda: 0.1)}
    assert list(rows) == ["centred", "unit_norm"]
    assert (rows[varied].estimate, rows[varied].reason) == (0.1, "")
    assert (rows[unseen].estimate, rows[unseen].status) == (0.5, "ok")
    assert "do not see" in rows[unseen].reason
    assert np.isnan([rows[varied].ci_low, rows[unseen].ci_high]).all()


def test_without_a_score_there_is_nothing_to_vary():
    unscored = replace(ROW, estimate=np.nan, status="undefined", reason="constant layer")
    rows = varied_rows(unscored, "euclidean", lambda: 1.0)
    assert {(row.status, row.reason) for row in rows} == {("undefined", "constant layer")}


def test_a_varied_layer_without_a_pseudotime_says_so():
    def score():
        raise NoScoreError("undefined", "constant layer: every cell has the same embedding")

    centred, _ = varied_rows(ROW, "cosine", score)
    assert (centred.status, np.isnan(centred.estimate)) == ("undefined", True)
    assert "constant" in centred.reason
    centred, _ = varied_rows(ROW, "cosine", lambda: float("nan"))
    assert "no correlation" in centred.reason
