"""A layer chosen on all other conditions is scored on the one left out; one layer may serve all, or none."""

import numpy as np
import pandas as pd
import pytest

import choose_layers
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers as chosen
from layerscope.statistics.travel import ALL, ranks, travel
from layerscope.tables import SCORE_COLUMNS, Score, depth, read_table, write_resamples, write_scores

N_LAYERS = 5
NAMES = [f"{number:02d}" for number in range(1, N_LAYERS + 1)]
TRAJECTORY = ("trajectory", "strict", "spearman")
LABELS = ("cell_type", "strict", "probe_macro_f1")
MODELS = {"m": {"kind": "foundation", "layers": N_LAYERS}}


def study(curves, error=0.01, seed=1):
    """Score rows and resamples of these true scores: condition to (task, protocol, metric), and scores."""
    random, rows, values = np.random.default_rng(seed), [], {}
    for condition, ((task, protocol, metric), truth) in curves.items():
        for layer, score in zip(NAMES, truth, strict=True):
            estimate = score + error * random.normal()
            about = {"condition": condition, "model": "m", "layer": layer, "depth": depth(layer, N_LAYERS)}
            about |= {"task": task, "protocol": protocol, "metric": metric}
            low, high = estimate - 2 * error, estimate + 2 * error
            rows.append(Score(**about, estimate=estimate, ci_low=low, ci_high=high))
            resamples = estimate + error * random.normal(size=300)
            values[task, condition, protocol, "m", layer] = {metric: resamples}
    return pd.DataFrame([vars(row) for row in rows], columns=list(SCORE_COLUMNS)), values


def curves_of(curves, **more):
    return chosen(*study(curves, **more), models_of(MODELS)).layer_curves


def planted(best, n_conditions=4, of=TRAJECTORY, gain=0.2, name="c"):
    truth = [0.4 + gain * (layer == best) for layer in NAMES]
    return {f"{name}{number}": (of, truth) for number in range(n_conditions)}


def test_a_common_layer_is_chosen_on_the_others_and_gains_on_the_one_left_out():
    table = travel(curves_of(planted("03")))
    of_each, mean = table[table["left_out"] != ALL], table[table["left_out"] == ALL].iloc[0]
    assert of_each["left_out"].tolist() == ["c0", "c1", "c2", "c3"]
    assert set(of_each["chosen_layer"]) == {"03"}
    assert of_each["n_conditions"].eq(3).all()
    np.testing.assert_allclose(of_each["gain"], 0.2, atol=0.05)
    assert (of_each["gain_ci_low"] < of_each["gain"]).all()
    assert mean["gain"] == pytest.approx(of_each["gain"].mean())
    assert 0 < mean["gain_ci_low"] < 0.2 < mean["gain_ci_high"]
    assert (mean["status"], mean["n_conditions"]) == ("ok", 4)


def test_the_interval_over_conditions_is_students():
    table = travel(curves_of(planted("02", 3)))
    gains = table.loc[table["left_out"] != ALL, "gain"].to_numpy()
    mean = table[table["left_out"] == ALL].iloc[0]
    reach = 4.302653 * gains.std(ddof=1) / np.sqrt(3)
    assert mean["gain_ci_high"] - mean["gain"] == pytest.approx(reach, rel=1e-5)
    assert mean["gain"] - mean["gain_ci_low"] == pytest.approx(reach, rel=1e-5)


def test_layers_that_differ_by_chance_alone_gain_nothing():
    """Fifty studies of four conditions: picking promises 0.01 and more, and brings nothing elsewhere."""
    means, promised = [], []
    for seed in range(50):
        curves = curves_of(planted("03", gain=0.0), seed=seed)
        table = travel(curves)
        means.append(table.loc[table["left_out"] == ALL, "gain"].item())
        promised.append(
            np.mean([max(one.estimate for one in c.layers) - c.layers[-1].estimate for c in curves])
        )
    error = np.std(means, ddof=1) / np.sqrt(50)
    assert abs(np.mean(means)) < 3 * error
    assert np.mean(promised) > 0.01 > 3 * error


def test_where_each_condition_has_its_own_best_layer_the_choice_does_not_travel():
    own = {f"c{n}": (TRAJECTORY, [0.4 + 0.2 * (layer == best) for layer in NAMES])
           for n, best in enumerate(["01", "02", "03", "04"])}  # fmt: skip
    table = travel(curves_of(own))
    mean = table[table["left_out"] == ALL].iloc[0]
    assert mean["gain"] == pytest.approx(0, abs=0.02)
    assert not ranks(curves_of(own))["may_be_best_in_all"].any()


@pytest.mark.parametrize(("n_conditions", "words"), [(1, "no condition"), (2, "needs 3")])
def test_too_few_conditions_give_no_interval_and_the_count(n_conditions, words):
    table = travel(curves_of(planted("03", n_conditions)))
    mean = table[table["left_out"] == ALL].iloc[0]
    assert mean["status"] == "undefined"
    assert np.isnan(mean["gain_ci_low"])
    assert words in " ".join(table["reason"])
    assert np.isnan(mean["gain"]) == (n_conditions == 1)


def test_tasks_choose_together_in_shares_of_their_ranges():
    """A correlation's gain of 0.2 is a tenth of its range, an F1's gain of 0.2 a fifth."""
    both = planted("03", 2) | planted("03", 2, of=LABELS, name="l")
    table = travel(curves_of(both, error=1e-4))
    together = table[table["scope"] == "all tasks"].set_index("left_out")
    expected = {"c0": 0.1, "c1": 0.1, "l0": 0.2, "l1": 0.2, ALL: 0.15}
    assert together["gain"].to_dict() == pytest.approx(expected, abs=0.01)
    assert together.loc[ALL, "status"] == "ok"
    alone = table[(table["scope"] == "task") & (table["left_out"] != ALL)]
    np.testing.assert_allclose(alone["gain"], 0.2, atol=0.01)


def test_a_study_of_one_task_has_no_scope_of_all_tasks():
    assert set(travel(curves_of(planted("03")))["scope"]) == {"task"}


def test_of_several_protocols_the_trusted_one_speaks_for_all_tasks():
    paper = {"c0": (("trajectory", "paper", "spearman"), [0.9, 0.1, 0.1, 0.1, 0.1])}
    strict = planted("03", 2) | planted("03", 1, of=LABELS, name="l")
    rows, values = study(strict)
    more_rows, more_values = study(paper)
    both = chosen(pd.concat([rows, more_rows]), values | more_values, models_of(MODELS)).layer_curves
    table = travel(both)
    assert set(table.loc[table["scope"] == "all tasks", "chosen_layer"].dropna()) == {"03"}


def test_conditions_of_the_same_cells_are_left_out_together_and_count_as_one():
    curves = curves_of(planted("03", 3))
    table = travel(curves, {"c2": "c1"})
    assert table.set_index("left_out")["n_conditions"].to_dict() == {"c0": 2, "c1": 1, "c2": 1, ALL: 2}
    assert table.loc[table["left_out"] == ALL, "status"].item() == "undefined"


def test_one_layer_may_serve_all_conditions():
    table = ranks(curves_of(planted("03"))).set_index("layer")
    assert table.loc["03", ["mean_rank", "rank_low", "rank_high"]].tolist() == [1, 1, 1]
    assert table["may_be_best_in_all"].to_dict() == {name: name == "03" for name in NAMES}
    others = table.drop(index="03")
    assert (others["rank_low"] >= 2).all()
    assert (others["rank_high"] == 5).all()
    assert others["mean_rank"].between(2, 5).all()


def test_bounds_of_ranks_hold_the_true_ranks_of_all_layers_in_nineteen_of_twenty_studies():
    truth, held = [0.50, 0.51, 0.52, 0.53, 0.54], 0
    for seed in range(60):
        table = ranks(curves_of({f"c{n}": (TRAJECTORY, truth) for n in range(3)}, seed=seed))
        true = np.array([5, 4, 3, 2, 1])
        held += ((table["rank_low"] <= true) & (true <= table["rank_high"])).all()
    assert held / 60 >= 0.95


def test_without_resamples_ranks_have_no_bounds():
    rows, _ = study(planted("03"))
    table = ranks(chosen(rows, {}, models_of(MODELS)).layer_curves)
    assert table["mean_rank"].notna().all()
    assert table["rank_low"].isna().all()


def test_a_layer_that_a_condition_lacks_is_not_chosen():
    curves = planted("03")
    rows, values = study(curves)
    rows = rows[~((rows["condition"] == "c0") & (rows["layer"] == "03"))]
    table = travel(chosen(rows, values, models_of(MODELS)).layer_curves)
    assert "03" not in set(table["chosen_layer"].dropna())
    assert len(table) == 5


def test_the_script_writes_both_tables(tmp_path):
    rows, values = study(planted("03"))
    write_scores(tmp_path / "scores.tsv", [Score(**row) for row in rows.to_dict("records")])
    paths = []
    for (task, condition, protocol, model, layer), one in values.items():
        paths.append(tmp_path / task / condition / protocol / model / f"layer_{layer}.npz")
        write_resamples(paths[-1], one)
    words = ["--scores", tmp_path / "scores.tsv", "--resamples", *paths, "--output", tmp_path / "layers.tsv"]
    words += ["--models", '{"m": {"kind": "foundation", "layers": 5}}', "--cells-of", '{"c3": "c2"}']
    words += ["--travel", tmp_path / "travel.tsv", "--ranks", tmp_path / "ranks.tsv"]
    choose_layers.main([str(word) for word in words])
    table = read_table(tmp_path / "travel.tsv", text=["chosen_layer"])
    assert table["chosen_layer"].tolist() == ["03"] * 4 + [""]
    assert table["n_conditions"].tolist() == [3, 3, 2, 2, 3]
    assert len(read_table(tmp_path / "ranks.tsv", text=["layer"])) == N_LAYERS
