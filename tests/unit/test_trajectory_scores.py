"""Protocol paper: a layer that keeps the order scores high; what has no score says why."""

import numpy as np
import pandas as pd
import pytest
from trajectory_cells import subject

from layerscope.tasks.trajectory.paper import score_paper
from layerscope.tasks.trajectory.references import COMPUTED, FROM_DATASET, Reference
from layerscope.tasks.trajectory.settings import TrajectorySettings

SETTINGS = TrajectorySettings(resamples=200, halvings=10)
N_CELLS = 300


def layer(noise=0.1, seed=0):
    """Cells along a bent line in 20 dimensions, and where on it they are."""
    position = np.sort(np.random.default_rng(9).random(N_CELLS))
    random = np.random.default_rng(seed)
    path = np.cos(np.outer(position, random.normal(size=20)) * 3 + random.normal(size=20))
    return (path + noise * random.normal(size=path.shape)).astype(np.float32), position


def reference(pseudotime, source=FROM_DATASET):
    names = [f"c{number}" for number in range(N_CELLS)]
    return Reference(names, pseudotime, 0, source, "dataset: iroot_cell")


def scores(matrix, pseudotime, truth=None, settings=SETTINGS, clones=None, **changes):
    source = changes.pop("source", FROM_DATASET)
    columns = {"true_pseudotime": truth, "clone": clones}
    obs = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
    scored = score_paper(matrix, reference(pseudotime, source), subject("paper", **changes), settings, obs)
    return {row.metric: row for row in scored.rows}, scored.resamples


def test_a_layer_that_keeps_the_order_scores_near_1_and_noise_near_0():
    matrix, position = layer()
    rows, _ = scores(matrix, position)
    row = rows["spearman"]
    noise = np.random.default_rng(1).normal(size=matrix.shape)
    assert row.estimate > 0.98
    assert abs(scores(noise, position)[0]["spearman"].estimate) < 0.3
    assert (row.task, row.protocol, row.condition, row.model) == ("trajectory", "paper", "blood", "m")
    assert (row.n_cells, row.n_items, row.seed, row.status, row.reason) == (N_CELLS, N_CELLS, 3, "ok", "")
    assert row.ci_low < row.estimate < row.ci_high


def test_the_interval_is_as_wide_as_the_score_varies_between_studies():
    """Cells drawn anew, the root at the same place: the graph varies, and the interval knows it."""
    estimates, widths = [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        position = np.sort(random.random(N_CELLS))
        position[0] = 0.02
        path = np.cos(np.outer(position, np.linspace(1, 6, 20)) + np.arange(20))
        matrix = path + 0.4 * random.normal(size=path.shape)
        matrix[0] = path[0]
        rows, resamples = scores(matrix, position, settings=TrajectorySettings(resamples=200, halvings=6))
        estimates.append(rows["spearman"].estimate)
        widths.append(resamples["spearman"].std())
    assert 0.7 < np.median(widths) / np.std(estimates) < 1.5


def test_sisters_stay_together_in_splits():
    matrix, position = layer()
    clones = np.array([f"clone{number // 30}" for number in range(N_CELLS)])
    rows, _ = scores(matrix, position, clones=clones)
    assert (rows["spearman"].n_cells, rows["spearman"].n_items) == (N_CELLS, 10)


def test_true_pseudotime_adds_a_metric_and_halves_are_stored():
    matrix, position = layer()
    rows, resamples = scores(matrix, np.random.default_rng(0).random(N_CELLS), truth=position)
    assert rows["spearman_true_pseudotime"].estimate > 0.98 > rows["spearman"].estimate
    assert resamples["spearman"].shape == (200,)
    assert resamples["spearman@chosen_on"].shape == resamples["spearman@scored_on"].shape == (10,)


def test_cells_without_a_finite_reference_are_left_out():
    matrix, position = layer()
    position[10:20] = np.inf
    position[20:25] = np.nan
    assert scores(matrix, position)[0]["spearman"].n_cells == N_CELLS - 15


def test_unreachable_cells_are_counted_and_left_out():
    matrix, position = layer()
    matrix[270:] += 1000
    rows, _ = scores(matrix, position, settings=TrajectorySettings(metric="euclidean", resamples=50))
    assert rows["share_unreachable"].estimate == pytest.approx(0.1)
    assert rows["spearman"].n_cells == 270
    assert rows["spearman"].reason == "10.0% of cells unreachable (graph of 2 components)"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda matrix: np.where(np.arange(N_CELLS)[:, None] < 10, matrix, np.nan), "10 of 300 cells have"),
        (lambda matrix: np.where(np.arange(N_CELLS)[:, None] > 0, matrix, np.nan), "the root cell"),
    ],
)
def test_a_layer_without_pseudotime_is_undefined_and_says_why(change, reason):
    matrix, position = layer()
    rows, resamples = scores(change(matrix), position, truth=position)
    assert set(rows) == {"spearman", "spearman_true_pseudotime", "share_unreachable"}
    for row in rows.values():
        assert row.status == "undefined"
        assert row.reason.startswith(reason)
        assert np.isnan(row.estimate)
    assert resamples == {}


def test_a_root_that_reaches_nobody_and_a_constant_reference_have_no_score():
    matrix, position = layer()
    constant = scores(matrix, np.ones(N_CELLS))[0]["spearman"]
    matrix[:18] += 1000
    settings = TrajectorySettings(metric="euclidean", resamples=50)
    unreached = scores(matrix, position, settings=settings)[0]["spearman"]
    for row, n_cells in ((constant, N_CELLS), (unreached, 18)):
        assert (row.status, row.n_cells) == ("undefined", n_cells)
        assert f"no correlation over {n_cells} cells" in row.reason


def test_the_representation_that_made_the_reference_is_no_contender():
    matrix, position = layer()
    rows, _ = scores(matrix, position, truth=position, source=COMPUTED, family="hvg_pca")
    assert rows["spearman"].status == "undefined"
    assert "made the reference" in rows["spearman"].reason
    assert rows["spearman_true_pseudotime"].status == "ok"
    others, _ = scores(matrix, position, source=COMPUTED, family="log_all_genes")
    assert others["spearman"].reason == f"reference {COMPUTED}"
