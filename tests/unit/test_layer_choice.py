"""The layer to use, and what qualifies it, follow from paired scores."""

from dataclasses import replace

import numpy as np
import pytest

from layerscope.errors import ConfigError, DataError
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers, write_layer_choice
from layerscope.statistics.trust import most_trusted
from layerscope.tables import (
    Score,
    depth,
    read_resamples,
    read_scores,
    read_table,
    write_resamples,
    write_scores,
)

MODELS = {
    "big": {"kind": "foundation", "control": None, "of": None, "layers": 4, "title": "Big"},
    "big_untrained_1": {"kind": "control", "control": "untrained", "of": "big", "layers": 4},
    "big_untrained_2": {"kind": "control", "control": "untrained", "of": "big", "layers": 4},
    "hvg_pca": {"kind": "baseline", "control": None, "of": None, "layers": 0},
    "all_genes": {"kind": "baseline", "layers": 0},
    "planted": {"kind": "foundation", "family": "planted", "layers": 4},
}
CURVE = {"00": 0.2, "01": 0.3, "02": 0.7, "03": 0.69, "04": 0.5, "official": 0.45}
FLAT = dict.fromkeys(("01", "02", "03", "04"), 0.01)
UNTRAINED = {"01": 0.35, "02": 0.1, "03": 0.2, "04": 0.2}


class Study:
    """Scores of a study on disk: every score has bootstrap values that share one error."""

    def __init__(self, folder, error=0.02, own_error=0.005):
        self.folder, self.rows, self.paths = folder, [], []
        self.random = np.random.default_rng(0)
        self.shared = error * self.random.normal(size=500)
        self.own_error = own_error

    def add(self, model, curve, condition="blood", task="trajectory", protocol="paper", half_error=None):
        for layer, value in curve.items():
            row = {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, 4)}
            row |= {"task": task, "protocol": protocol, "metric": "spearman"}
            if isinstance(value, str):
                self.rows.append(Score(**row, status="undefined", reason=value))
                continue
            values = value + self.shared + self.own_error * self.random.normal(size=500)
            low, high = np.quantile(values, [0.025, 0.975])
            self.rows.append(Score(**row, estimate=value, ci_low=low, ci_high=high))
            resamples = {"spearman": values}
            if half_error is not None:
                for side in ("chosen_on", "scored_on"):
                    resamples[f"spearman@{side}"] = value + half_error * self.random.normal(size=30)
            path = self.folder / task / condition / protocol / model / f"layer_{layer}.npz"
            write_resamples(path, resamples)
            self.paths.append(path)
        return self

    def choose(self):
        write_scores(self.folder / "scores.tsv", self.rows)
        return choose_layers(read_scores(self.folder / "scores.tsv"), self.paths, models_of(MODELS))

    def row(self):
        (row,) = self.choose().layers.to_dict("records")
        return row

    def write(self, *conditions):
        """Write the tables of the choice, for conditions in this order; read them."""
        self.choose()
        names = ("layers", "curves", "shifts")
        files = {name: self.folder / f"{name}.tsv" for name in ("scores", *names)}
        output, settings = files.pop("layers"), {"models": MODELS, "conditions": conditions}
        write_layer_choice(output, resamples=self.paths, **settings, **files)
        return [read_table(self.folder / f"{name}.tsv", text=["best_layer"]) for name in names]


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_the_best_layer_is_found_and_compared(study):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED).add("hvg_pca", {"official": 0.6})
    row = study.row()
    assert (row["best_layer"], row["best_estimate"], row["final_layer"]) == ("02", 0.7, "04")
    assert row["best_depth"] == pytest.approx(1 / 3)
    others = [row[f"{name}_estimate"] for name in ("final", "official", "embedding_layer")]
    assert others == [0.5, 0.45, 0.2]
    assert row["gain"] == pytest.approx(0.2)
    assert (row["best_baseline"], row["best_baseline_estimate"]) == ("hvg_pca", 0.6)
    assert (row["best_untrained"], row["best_untrained_layer"]) == ("big_untrained_1", "01")
    assert row["best_untrained_estimate"] == 0.35
    assert row["untrained_same_layer_estimate"] == 0.1
    assert (row["verdict"], row["use"]) == ("use_layer", "02")
    assert "use 02: " in row["sentence"] and "by 0.20 (0.18 to 0.22)" in row["sentence"]


def test_the_gains_interval_is_paired_and_holds_for_all_layers(study):
    """The errors that layers share (0.02) cancel; their own (0.005 each) stay, 2.35 of them for 3 gains."""
    row = study.add("big", CURVE).row()
    assert row["gain_ci_high"] - row["gain_ci_low"] == pytest.approx(2 * 2.35 * 0.005 * np.sqrt(2), rel=0.1)
    assert row["gain_p"] < 0.01


def test_a_claim_is_made_for_the_layer_that_carries_it(tmp_path):
    """Layer 02 is highest and noisy; layer 03 is better than the final one beyond doubt."""
    study = Study(tmp_path, own_error=0.001).add("big", {"01": 0.3, "02": 0.56, "03": 0.52, "04": 0.5})
    path = next(path for path in study.paths if path.name == "layer_02.npz")
    noise = 0.1 * np.random.default_rng(5).normal(size=500)
    write_resamples(path, {"spearman": read_resamples(path)["spearman"] + noise})
    row = study.row()
    assert (row["best_layer"], row["surest_layer"]) == ("02", "03")
    assert row["surest_p_family"] < 0.01 < 0.05 < row["gain_p_family"]
    assert (row["verdict"], row["use"]) == ("use_layer", "03")


def test_without_any_layer_above_the_final_one_nothing_is_claimed(study):
    row = study.add("big", {"01": 0.3, "02": 0.4, "03": 0.45, "04": 0.5}).row()
    assert (row["best_layer"], row["surest_layer"]) == ("04", "")
    assert (row["gain"], row["gain_p"], row["surest_p"]) == (0, 1, 1)
    assert row["layers_below_final"] == "01,02,03"
    assert (row["verdict"], row["use"]) == ("final_will_do", "04")


def test_a_gain_that_other_conditions_make_doubtful_is_not_recommended(study):
    curve = {"01": 0.3, "02": 0.502, "03": 0.4, "04": 0.485}
    assert study.add("big", curve).row()["verdict"] == "use_layer"
    for number in range(40):
        study.add("big", dict.fromkeys(curve, 0.3), condition=f"other{number}")
    row = study.choose().layers.set_index("condition").loc["blood"]
    assert row["gain_p"] < 0.05 < row["gain_p_family"]
    assert row["verdict"] == "final_will_do"


def test_layers_are_compared_with_the_mean_of_untrained_seeds_at_the_same_layer(study):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED | {"02": 0.68})
    study.add("big_untrained_2", UNTRAINED | {"02": 0.74})
    row = study.row()
    assert row["untrained_same_layer_estimate"] == pytest.approx(0.71)
    assert row["over_untrained_same_layer"] == pytest.approx(-0.01)
    assert row["layers_above_untrained"] == "03,04"
    curve = study.choose().curves.set_index("layer")
    np.testing.assert_allclose(curve["over_untrained"], [-0.05, -0.01, 0.49, 0.3], atol=1e-9)
    assert curve.loc["03", "over_untrained_low"] > 0


def test_the_choice_is_tried_out_on_halves(study):
    row = study.add("big", CURVE, half_error=0.001).row()
    assert (row["heldout_layer"], row["heldout_layer_share"]) == ("02", 1)
    assert row["heldout_estimate"] == pytest.approx(0.7, abs=0.002)
    assert row["heldout_gain"] == pytest.approx(0.2, abs=0.002)
    assert abs(row["optimism"]) < 0.002


def test_a_choice_that_brings_nothing_on_other_data_is_not_sure(study):
    study.add("big", CURVE | {"04": 0.6}, half_error=0.0, protocol="strict")
    assert study.row()["sure"] == "yes"
    path = next(path for path in study.paths if path.name == "layer_04.npz")
    stored = read_resamples(path)
    moved = {"spearman@scored_on": 0.2, "spearman@chosen_on": -0.2}
    write_resamples(path, stored | {name: stored[name] + change for name, change in moved.items()})
    row = study.row()
    assert (row["verdict"], row["sure"]) == ("use_layer", "no")
    assert row["heldout_gain"] < 0 and "other data" in row["next"]


def test_p_values_are_corrected_for_all_conditions_of_a_task(study):
    for condition, task in (("blood", "trajectory"), ("marrow", "trajectory"), ("Rest", "perturbation")):
        study.add("big", CURVE, condition=condition, task=task)
    table = study.choose().layers.set_index("condition")
    alone, family = table["gain_p"], table["gain_p_family"]
    np.testing.assert_allclose(family[["blood", "marrow"]], 2 * alone["blood"])
    assert family["Rest"] == alone["Rest"]


def test_the_whole_curve_has_simultaneous_intervals_and_differences(study):
    curve = study.add("big", CURVE).choose().curves.set_index("layer")
    assert curve.index.tolist() == ["01", "02", "03", "04"]
    assert (curve["simultaneous_low"] <= curve["ci_low"]).all()
    assert (curve["simultaneous_high"] >= curve["ci_high"]).all()
    np.testing.assert_allclose(curve["over_final"], [-0.2, 0.2, 0.19, 0])
    np.testing.assert_allclose(curve["over_first"], [0, 0.4, 0.39, 0.2], atol=1e-9)
    np.testing.assert_allclose(curve["over_official"], [-0.15, 0.25, 0.24, 0.05], atol=1e-9)
    assert curve["over_untrained"].isna().all()
    assert np.isnan(curve.loc["04", "over_final_p"])
    assert (curve.loc[["01", "02", "03"], "over_final_p"] < 0.01).all()
    assert curve["in_confidence_set"].tolist() == [False, True, True, False]
    assert curve["best_share"].sum() == pytest.approx(1)


def test_every_protocol_has_a_verdict_and_strict_alone_is_sure(study):
    for protocol in ("paper", "strict", "released"):
        study.add("big", CURVE, protocol=protocol)
    study.add("big", CURVE, condition="marrow", protocol="released").add("big", CURVE, condition="marrow")
    table = study.choose().layers.set_index(["condition", "protocol"])
    assert (table["verdict"] == "use_layer").all() and (table["use"] == "02").all()
    assert table.index[table["sure"] == "yes"].tolist() == [("blood", "strict")]
    assert table["next"].str.contains("strict").sum() == 4


@pytest.mark.parametrize(
    ("changes", "best", "possible", "said"),
    [
        ({"02": 0.3, "03": 0.31, "04": 0.6}, "04", "", "it moves between the two"),
        ({"02": 0.695, "03": 0.7}, "03", "02,03", "no evidence of a move"),
    ],
)
def test_a_best_layer_is_said_to_move_where_no_layer_may_be_best_in_both(
    study, changes, best, possible, said
):
    study.add("big", CURVE).add("big", CURVE | changes, condition="marrow")
    (row,) = study.choose().shifts.to_dict("records")
    assert (row["condition"], row["other_condition"]) == ("blood", "marrow")
    assert (row["best_layer"], row["other_best_layer"]) == ("02", best)
    assert row["layers_possible_in_both"] == possible
    assert row["shift"] == pytest.approx((int(best) - 2) / 3)
    assert row["shift_ci_low"] <= row["shift_ci_high"]
    assert (row["p_same_holm"] < 0.05) == (possible == "")
    assert said in row["sentence"]


def test_conditions_of_different_tasks_have_their_own_rows_and_no_shift(study):
    study.add("big", CURVE).add("big", CURVE, condition="Rest", task="perturbation")
    study.add("hvg_pca", {"official": 0.9}, condition="Rest", task="perturbation")
    chosen = study.choose()
    assert chosen.layers["condition"].tolist() == ["Rest", "blood"]
    assert chosen.layers["best_baseline"].tolist() == ["hvg_pca", ""]
    assert len(chosen.shifts) == 0


def test_scores_without_resamples_are_compared_without_claims(study):
    study.add("big", CURVE).add("big", CURVE, condition="marrow").paths.clear()
    chosen = study.choose()
    row = chosen.layers.iloc[0]
    assert np.isnan(row["gain_ci_low"]) and row["confidence_set"] == ""
    assert "untested" in row["sentence"]
    assert chosen.shifts["p_same"].isna().all()


@pytest.mark.parametrize(
    ("protocols", "decides"),
    [("released paper strict", "strict"), ("released paper", "paper"), ("own paper", "paper"), ("b a", "a")],
)
def test_the_most_trusted_protocol_decides(protocols, decides):
    assert most_trusted(protocols.split()) == decides


@pytest.mark.parametrize(
    ("curve", "own_error", "alike", "word"),
    [
        ({"01": 0.497, "02": 0.502, "03": 0.499}, 0.005, "01,02,03,04", "final_will_do"),
        ({"01": 0.3, "02": 0.502, "03": 0.4}, 0.005, "02,04", "final_will_do"),
        ({"01": 0.514, "02": 0.515, "03": 0.514}, 0.005, "01,02,03", "final_will_do"),
        ({"01": 0.5, "02": 0.6, "03": 0.4}, 0.1, "01,02,03,04", "no_difference_shown"),
    ],
)
def test_without_evidence_no_layer_is_preferred_to_the_final_one(tmp_path, curve, own_error, alike, word):
    row = Study(tmp_path, own_error=own_error).add("big", curve | {"04": 0.5}).row()
    assert (row["best_layer"], row["confidence_set"]) == ("02", alike)
    assert row["gain_p"] > 0.05
    assert (row["verdict"], row["use"]) == (word, "04")
    assert (word == "final_will_do") == (row["most_gain"] < 0.05)


@pytest.mark.parametrize(
    ("scores", "column", "said"),
    [
        ({"hvg_pca": {"official": 0.8}}, "beats_baseline", "no: layer 02 scores 0.70, hvg_pca 0.80"),
        ({"hvg_pca": {"official": 0.701}}, "beats_baseline", "unclear"),
        ({"hvg_pca": {"official": 0.5}}, "beats_baseline", "yes"),
        ({"big_untrained_2": UNTRAINED | {"03": 1.6}}, "training_helped", "no: trained 0.70, untrained 0.90"),
        ({"big_untrained_2": UNTRAINED | {"03": 1.2}}, "training_helped", "unknown: trained 0.70"),
        ({"big_untrained_1": CURVE}, "training_helped", "unknown"),
        ({"big_untrained_1": {name: 0.1 + of for name, of in CURVE.items()}}, "training_helped", "no"),
        ({}, "training_helped", "yes: trained 0.70, untrained 0.35"),
        ({"big": CURVE | {"official": 0.8}}, "verdict", "prefer_official"),
        ({"big": CURVE | {"official": 0.701}}, "verdict", "use_layer"),
        ({"big": FLAT}, "verdict", "no_signal"),
    ],
)
def test_what_qualifies_a_layer_is_named(study, scores, column, said):
    for model, curve in ({"big": CURVE, "big_untrained_1": UNTRAINED} | scores).items():
        study.add(model, curve)
    assert study.row()[column].startswith(said)


def test_a_baseline_that_made_the_reference_is_named_though_others_are_beaten(study):
    study.add("big", CURVE).add("hvg_pca", {"official": "this representation made the reference"})
    row = study.row()
    assert (row["reference_baseline"], row["best_baseline"]) == ("hvg_pca", "")
    assert row["beats_pca"].startswith("not tested: hvg_pca")


def test_the_pca_is_compared_though_another_baseline_is_higher(study):
    study.add("big", CURVE).add("hvg_pca", {"official": 0.5}).add("all_genes", {"official": 0.8})
    row = study.row()
    assert (row["pca"], row["pca_estimate"], row["best_baseline"]) == ("hvg_pca", 0.5, "all_genes")
    assert row["over_pca"] == pytest.approx(0.2)
    assert (row["beats_pca"][:3], row["beats_baseline"][:2]) == ("yes", "no")


def test_planted_layers_cost_the_models_no_power(study):
    """They are a family of their own: p-values of the models are corrected for models alone."""
    study.add("big", CURVE | {"04": 0.6}).add("big", CURVE | {"01": 0.9}, condition="marrow")
    study.add("big", CURVE, condition="skin")
    alone, alone_shifts = study.choose().layers, study.choose().shifts
    for condition in ("blood", "marrow", "skin"):
        study.add("planted", CURVE, condition=condition)
    chosen = study.choose()
    layers, shifts = chosen.layers, chosen.shifts
    of_big = shifts[shifts["model"] == "big"]
    assert alone_shifts["p_same_holm"].tolist() == of_big["p_same_holm"].tolist()
    of_models = layers[~layers["planted"]].reset_index(drop=True)
    assert alone["gain_p_family"].tolist() == of_models["gain_p_family"].tolist()
    assert (layers.loc[layers["planted"], "gain_p_family"] < 0.05).all()


def test_a_permutation_test_that_finds_more_than_the_interval_is_heard(study):
    study.add("big", FLAT)
    study.rows = [replace(row, p_value=0.004) for row in study.rows]
    assert study.row()["verdict"] == "final_will_do"


@pytest.mark.parametrize(
    ("lost", "expected"),
    [({"02": "constant"}, ("03", "ok", "constant")), (dict.fromkeys(CURVE, "odd"), ("", "undefined", "odd"))],
)
def test_undefined_layers_are_passed_by_with_their_reason(study, lost, expected):
    row = study.add("big", CURVE | lost).row()
    assert (row["best_layer"], row["status"], row["reason"]) == expected
    assert row["heldout_layer"] == ""


def test_resamples_of_another_path_are_refused(study):
    study.add("big", CURVE).paths.append("somewhere/else.npz")
    with pytest.raises(DataError, match=r"else\.npz: expected"):
        study.row()


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"layers": 4}, "kind must be"), ({"kind": "foundation"}, "layers .*None")],
)
def test_models_without_kind_or_layers_are_refused(entry, message):
    with pytest.raises(ConfigError, match=f"big: {message}"):
        models_of({"big": entry})


def test_the_tables_that_are_written_are_the_choice(study):
    expected = study.add("big", CURVE).add("hvg_pca", {"official": 0.6}).row()
    layers, curves, shifts = study.write()
    assert layers["best_layer"].tolist() == ["02"]
    assert layers["gain_ci_low"].iloc[0] == pytest.approx(expected["gain_ci_low"])
    assert (len(curves), len(shifts)) == (4, 0)


def test_shifts_go_from_a_condition_to_a_later_one_of_the_study(study):
    for condition, best in (("Stim48hr", "04"), ("Stim8hr", "01"), ("Rest", "02")):
        study.add("big", dict.fromkeys(("01", "02", "03", "04"), 0.3) | {best: 0.9}, condition=condition)
    forward, backward, partly = (
        study.write(*order)[-1]
        for order in (("Rest", "Stim8hr", "Stim48hr"), ("Stim48hr", "Stim8hr", "Rest"), ("Stim8hr",))
    )
    pairs = [("Rest", "Stim8hr"), ("Rest", "Stim48hr"), ("Stim8hr", "Stim48hr")]
    assert forward[["condition", "other_condition"]].apply(tuple, axis=1).tolist() == pairs
    assert forward["shift"].tolist() == pytest.approx([-1 / 3, 2 / 3, 1])
    assert backward["shift"].tolist() == (-forward["shift"][::-1]).tolist()
    assert backward["p_same"].tolist() == forward["p_same"][::-1].tolist()
    # conditions that are not named come last, by name
    assert partly["other_condition"].tolist() == ["Rest", "Stim48hr", "Stim48hr"]
