"""Protocol strict: many roots, several graphs, observed times and clones instead of another pseudotime."""

import numpy as np
import pandas as pd
import pytest
from trajectory_cells import N_CELLS, cells, layer, subject

from layerscope.statistics.concordance import order_concordance
from layerscope.tasks.trajectory.clones import Sisters, clone_fates, mean_auc, predict_fates, sisters_of
from layerscope.tasks.trajectory.references import COMPUTED, FROM_DATASET, Reference
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.strict import root_set, score_strict

SETTINGS = StrictSettings(resamples=200, halvings=10, neighbourhoods=(10, 15))


def scores(matrix, obs, settings=SETTINGS, source=FROM_DATASET, family="", reference=None):
    known = obs["true_pseudotime"].to_numpy() if reference is None else reference
    about = subject("strict", family=family)
    scored = score_strict(matrix, Reference(list(obs.index), known, 0, source, ""), obs, about, settings)
    return {row.metric: row for row in scored.rows}, scored.resamples


def test_a_layer_that_follows_the_line_agrees_with_times_and_sisters():
    obs, fate = cells()
    rows, resamples = scores(layer(obs, fate), obs)
    time, batch = (obs[name].cat.codes.to_numpy() for name in ("time", "batch"))
    of_truth = order_concordance(obs["true_pseudotime"], time, batch)
    least = {"time_somers_d": 0.9 * of_truth.somers_d()[0], "time_tau_b": 0.9 * of_truth.tau_b()[0]}
    least |= {"clone_order": 0.6, "spearman": 0.9}
    for metric in least:
        row = rows[metric]
        assert (row.status, row.protocol, row.task) == ("ok", "strict", "trajectory")
        assert row.estimate > least[metric]
        assert row.ci_low < row.estimate < row.ci_high
    assert rows["spearman_true_pseudotime"].estimate == pytest.approx(rows["spearman"].estimate)
    assert rows["share_unreachable"].estimate == 0
    quartiles = [rows[f"time_somers_d_roots_{name}"].estimate for name in ("q25", "q75")]
    by_graph = sorted(rows[f"time_somers_d_k{k}"].estimate for k in (10, 15))
    for low, high in (quartiles, by_graph):
        assert low <= rows["time_somers_d"].estimate <= high
    assert rows["time_somers_d"].n_items == 80 + 80  # 80 clones, and 80 cells without
    assert resamples["clone_order"].shape == (200,)
    assert resamples["time_somers_d@chosen_on"].shape == (10,)


def test_shuffled_labels_score_0_within_2_standard_errors():
    obs, fate = cells()
    matrix = layer(obs, fate)
    shuffled = obs.iloc[np.random.default_rng(5).permutation(N_CELLS)].set_index(obs.index)
    rows, resamples = scores(matrix, shuffled, reference=np.random.default_rng(6).random(N_CELLS))
    for metric in ("time_somers_d", "time_tau_b", "clone_order", "spearman"):
        assert abs(rows[metric].estimate) < 2 * resamples[metric].std()


def test_fates_are_told_only_where_early_cells_know_them():
    obs, fate = cells()
    settings = StrictSettings(resamples=200, clones_per_fate=5)
    fates = clone_fates(obs, np.ones(N_CELLS, dtype=bool), 5, 0)
    assert fates.labels == ["left", "right"]  # types that root cells have are no fates
    informed, _ = scores(layer(obs, fate, fate_strength=0.5), obs, settings)
    blind, _ = scores(layer(obs, fate), obs, settings)
    assert informed["clone_fate_auc"].estimate > 0.9
    assert blind["clone_fate_auc"].ci_low < 0.5 < blind["clone_fate_auc"].ci_high


def test_an_uninformed_prediction_of_fates_is_not_biased_below_one_half():
    obs, _ = cells(clone_size=8)
    areas = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        fates = clone_fates(obs, np.ones(N_CELLS, dtype=bool), 5, seed)
        fold = random.permutation(len(fates.names)) % 5
        predicted = predict_fates(random.normal(size=(len(fates.early), 10)), fates, fold)
        areas.append(mean_auc(predicted, fates.fate, fold, np.ones((1, len(fold)), dtype=int))[0])
    assert abs(np.mean(areas) - 0.5) < 2.5 * np.std(areas) / np.sqrt(40)


def test_the_area_is_scikit_learns_within_one_part():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    predicted = np.round(random.normal(size=(60, 2)), 1)
    fate, fold, counts = random.integers(0, 2, 60), np.zeros(60, dtype=int), random.integers(0, 3, (4, 60))
    expected = [
        np.mean([roc_auc_score(fate == label, predicted[:, label], sample_weight=row) for label in (0, 1)])
        for row in counts
    ]
    np.testing.assert_allclose(mean_auc(predicted, fate, fold, counts), expected)


def test_sisters_are_of_one_clone_and_of_different_times():
    obs, _ = cells()
    sisters = sisters_of(obs)
    clone, time = obs["clone"].astype(str).to_numpy(), obs["time"].cat.codes.to_numpy()
    np.testing.assert_array_equal(clone[sisters.earlier], clone[sisters.later])
    assert (time[sisters.earlier] < time[sisters.later]).all()
    assert "" not in clone[sisters.earlier]
    per_clone = pd.Series(clone[sisters.earlier]).groupby(sisters.clone).nunique()
    assert (per_clone == 1).all()
    assert sisters.reason == ""


def test_every_clone_counts_the_same_in_the_order_of_sisters():
    sisters = Sisters(np.array([0, 0, 0, 4]), np.array([1, 2, 3, 5]), np.array([0, 0, 0, 1]))
    nobody = np.array([6])
    in_order = np.array([[0.0, 1, 1, 1, 1, 0]])
    assert sisters.order(in_order, nobody)[0] == 0
    half_reached = np.array([[0.0, 1, 1, np.inf, 0, 1]])
    assert sisters.order(half_reached, nobody)[0] == pytest.approx((2 / 3 + 1) / 2)
    few = sisters.among(np.array([0, 1, 4, 5]))
    assert few.order(in_order[:, [0, 1, 4, 5]], nobody)[0] == 0
    assert np.isnan(sisters.among(np.array([0, 5])).order(in_order[:, [0, 5]], nobody)[0])


def test_a_root_is_not_counted_among_its_sisters():
    sisters = Sisters(np.array([0, 0, 2]), np.array([1, 2, 1]), np.array([0, 0, 0]))
    pseudotime = np.array([[0.0, 0.5, 1.0]])
    assert sisters.order(pseudotime, np.array([3]))[0] == pytest.approx(1 / 3)
    assert sisters.order(pseudotime, np.array([0]))[0] == -1


def test_few_clones_of_several_times_give_no_order_of_sisters():
    obs, fate = cells()
    nine = [f"clone{number:03d}" for number in range(9)]
    obs["clone"] = np.where(obs["clone"].isin(nine), obs["clone"], "")
    rows, _ = scores(layer(obs, fate), obs)
    assert rows["clone_order"].status == "not_available"
    assert "at least 10" in rows["clone_order"].reason


def test_the_root_set_is_drawn_once_for_a_condition_and_parts_draw_from_it():
    obs, _ = cells()
    roots, reason = root_set(obs, SETTINGS, seed=1)
    assert reason == ""
    drawn = roots.among(np.arange(N_CELLS))
    assert len(drawn) == 25
    assert (obs["is_root"].to_numpy()[drawn]).all()
    assert (obs["time"].to_numpy()[drawn] == "Day3").all()
    place = np.random.default_rng(0).permutation(N_CELLS)
    again = root_set(obs.iloc[place], SETTINGS, seed=1)[0].among(np.arange(N_CELLS))
    assert set(obs.index[place][again]) == set(obs.index[drawn])
    part = np.arange(0, N_CELLS, 2)
    assert set(part[roots.among(part)]) <= set(roots.cells)
    assert len(roots.among(part)) > len(drawn) / 2


def test_a_small_root_set_gives_no_score():
    obs, fate = cells()
    obs["is_root"] = np.arange(N_CELLS) < 12
    rows, _ = scores(layer(obs, fate), obs)
    assert {row.status for row in rows.values()} == {"not_available"}
    assert rows["time_somers_d"].reason.endswith("a root set needs 20")


def test_what_the_cells_do_not_tell_is_not_available_with_its_reason():
    obs, fate = cells()
    matrix = layer(obs, fate)
    rows, _ = scores(matrix, obs.drop(columns=["time", "clone"]))
    assert "no time labels" in rows["time_somers_d"].reason
    assert "no clone and" in rows["clone_order"].reason
    assert rows["spearman"].status == "ok"
    obs["batch"] = obs["time"].astype(str)
    rows, _ = scores(matrix, obs)
    assert rows["time_somers_d"].status == "not_available"
    assert "one batch" in rows["time_somers_d"].reason
    assert rows["time_somers_d_across_batches"].status == "ok"


def test_agreement_is_undefined_for_the_representation_that_made_the_reference():
    obs, fate = cells()
    rows, _ = scores(layer(obs, fate), obs, source=COMPUTED, family="hvg_pca")
    assert rows["spearman"].status == "undefined"
    assert rows["time_somers_d"].status == "ok"


def test_refused_roots_and_cells_are_left_out():
    obs, fate = cells()
    matrix = layer(obs, fate)
    matrix[:5] = np.nan
    rows, _ = scores(matrix, obs)
    assert rows["time_somers_d"].n_cells == N_CELLS - 5
    matrix[obs["is_root"].to_numpy()] = np.nan
    rows, _ = scores(matrix, obs)
    assert "all root cells" in rows["time_somers_d"].reason


def test_unreachable_cells_lower_the_score_and_are_counted():
    obs, fate = cells()
    matrix = layer(obs, fate)
    whole, _ = scores(matrix, obs)
    matrix[350:] += 1000
    split, _ = scores(matrix, obs, StrictSettings(resamples=50, metric="euclidean"))
    assert split["share_unreachable"].estimate == pytest.approx(50 / N_CELLS)
    assert split["time_somers_d"].estimate < whole["time_somers_d"].estimate - 0.1
    assert split["time_somers_d"].reason.startswith("connected components")
