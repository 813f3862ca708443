"""The layer to use, and the sentence that says so, follow from paired scores."""

from dataclasses import replace

import numpy as np
import pytest

from choose_layers import main
from layerscope.errors import ConfigError, DataError
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
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
}
CURVE = {"00": 0.2, "01": 0.3, "02": 0.7, "03": 0.69, "04": 0.5, "official": 0.45}
UNTRAINED = {"01": 0.35, "02": 0.1, "03": 0.2, "04": 0.2}


class Study:
    """Scores of a study on disk: every score has bootstrap values that share one error."""

    def __init__(self, folder, error=0.02, own_error=0.005):
        self.folder, self.rows, self.paths = folder, [], []
        self.random = np.random.default_rng(0)
        self.shared = error * self.random.normal(size=500)
        self.own_error = own_error

    def add(
        self, model, curve, condition="blood", task="trajectory", n_layers=4, metric="spearman", halves=None
    ):
        for layer, value in curve.items():
            row = {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, n_layers)}
            row |= {"task": task, "protocol": "paper", "metric": metric}
            if isinstance(value, str):
                self.rows.append(Score(**row, status="undefined", reason=value))
                continue
            values = value + self.shared + self.own_error * self.random.normal(size=500)
            low, high = np.quantile(values, [0.025, 0.975])
            self.rows.append(Score(**row, estimate=value, ci_low=low, ci_high=high))
            path = self.folder / task / condition / "paper" / model / f"layer_{layer}.npz"
            stored = {metric: values}
            if halves:
                stored |= {f"{metric}@chosen_on": value + halves.normal(size=30)}
                stored |= {f"{metric}@scored_on": value + halves.normal(size=30)}
            write_resamples(path, stored)
            self.paths.append(path)
        return self

    def choose(self):
        write_scores(self.folder / "scores.tsv", self.rows)
        return choose_layers(read_scores(self.folder / "scores.tsv"), self.paths, models_of(MODELS))

    def row(self):
        (row,) = self.choose().layers.to_dict("records")
        return row


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_the_best_layer_is_found_and_compared(study):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED).add("hvg_pca", {"official": 0.6})
    row = study.row()
    assert (row["best_layer"], row["best_estimate"], row["final_layer"]) == ("02", 0.7, "04")
    assert row["best_depth"] == pytest.approx(1 / 3)
    assert (row["final_estimate"], row["official_estimate"], row["embedding_layer_estimate"]) == (
        0.5,
        0.45,
        0.2,
    )
    assert row["gain"] == pytest.approx(0.2)
    assert (row["best_baseline"], row["best_baseline_estimate"]) == ("hvg_pca", 0.6)
    assert (row["best_untrained"], row["best_untrained_layer"]) == ("big_untrained_1", "01")
    assert row["best_untrained_estimate"] == 0.35
    assert row["untrained_same_layer_estimate"] == 0.1


def test_the_gains_interval_is_paired_and_holds_for_all_layers(study):
    """The errors that layers share (0.02) cancel; their own (0.005 each) stay, 2.35 of them for 3 gains."""
    row = study.add("big", CURVE).row()
    assert row["gain_ci_high"] - row["gain_ci_low"] == pytest.approx(2 * 2.35 * 0.005 * np.sqrt(2), rel=0.1)
    assert row["gain_p"] < 0.01


def test_a_claim_is_made_for_the_layer_that_carries_it(tmp_path):
    """Layer 02 is highest and noisy; layer 03 is better than the final one beyond doubt."""
    study = Study(tmp_path, own_error=0.001)
    study.add("big", {"01": 0.3, "02": 0.56, "03": 0.52, "04": 0.5})
    path = next(path for path in study.paths if path.name == "layer_02.npz")
    noise = 0.1 * np.random.default_rng(5).normal(size=500)
    write_resamples(path, {"spearman": read_resamples(path)["spearman"] + noise})
    row = study.row()
    assert (row["best_layer"], row["surest_layer"]) == ("02", "03")
    assert row["surest_p_family"] < 0.01 < 0.05 < row["gain_p_family"]
    assert row["recommendation"].startswith(
        "For blood, layer 03 of 4 (67% depth) of big is better than the final one, by +0.020 (95% interval"
    )
    assert "the highest, layer 02 of 4 (33% depth), scores 0.56" in row["recommendation"]
    assert "which could be chance" in row["recommendation"]


def test_without_any_layer_above_the_final_one_nothing_is_claimed(study):
    row = study.add("big", {"01": 0.3, "02": 0.4, "03": 0.45, "04": 0.5}).row()
    assert (row["best_layer"], row["surest_layer"]) == ("04", "")
    assert (row["gain"], row["gain_p"], row["surest_p"]) == (0, 1, 1)
    assert row["layers_below_final"] == "01,02,03"


def test_layers_that_cannot_be_told_from_the_best_are_named(study):
    assert study.add("big", CURVE | {"03": 0.695}).row()["confidence_set"] == "02,03"


def test_a_better_layer_is_recommended_in_words(study):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED).add("hvg_pca", {"official": 0.6})
    assert study.row()["recommendation"] == (
        "For blood, use layer 02 of 4 (33% depth) of big: it scores 0.70 (95% interval 0.66 to 0.74), "
        "+0.200 (95% interval 0.183 to 0.217) against the final layer; layer 03 cannot be told from the "
        "highest. The owners' embedding, official (0.45), is worse. "
        "The best baseline, hvg_pca, reaches 0.60. Untrained weights reach 0.35 at layer 01."
    )


def test_no_layer_is_recommended_over_the_final_one_without_evidence(study):
    words = study.add("big", {"01": 0.497, "02": 0.502, "03": 0.499, "04": 0.5}).row()["recommendation"]
    assert words.startswith("For blood, no layer of big is distinguishable from the final one, which will do")
    assert "layers 01, 03 and 04 cannot be told from the highest" in words


def test_layers_worse_than_the_final_one_are_told_from_it(study):
    words = study.add("big", {"01": 0.3, "02": 0.502, "03": 0.4, "04": 0.5}).row()["recommendation"]
    assert words.startswith(
        "For blood, no layer of big is shown to be better than the final one, which will do (0.50)"
    )
    assert "; layers 01 and 03 are worse; layer 04 cannot be told from the highest." in words


def test_a_large_gain_that_is_uncertain_is_not_called_little(tmp_path):
    study = Study(tmp_path, own_error=0.1)
    words = study.add("big", {"01": 0.5, "02": 0.6, "03": 0.4, "04": 0.5}).row()["recommendation"]
    high = study.row()["gain_ci_high"]
    assert high > 0.3
    assert words.startswith(
        "For blood, no layer of big is distinguishable from the final one (0.50): the highest"
    )
    assert f"against it; a gain of up to {high:.2f} cannot be excluded; layers 01, 03 and 04" in words
    assert "will do" not in words


def test_a_final_layer_that_scores_highest_is_recommended(study):
    words = study.add("big", {"01": 0.3, "02": 0.4, "03": 0.4, "04": 0.5}).row()["recommendation"]
    assert words.startswith("For blood, use the final layer of big (layer 04 of 4): it scores")


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (0.8, "The baseline hvg_pca is better (0.80): prefer it to any of these layers."),
        (
            0.701,
            "The baseline hvg_pca (0.70) cannot be told from the highest layer: -0.001 (95% interval -0.0",
        ),
        (0.1, "The best baseline, hvg_pca, reaches 0.10."),
    ],
)
def test_a_baseline_that_is_better_or_as_good_is_named(study, baseline, words):
    assert words in study.add("big", CURVE).add("hvg_pca", {"official": baseline}).row()["recommendation"]


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (1.6, "Untrained weights do better (0.90 at layer 03, mean of 2 seeds): training does not explain"),
        (
            1.2,
            "Untrained weights (0.70 at layer 03, mean of 2 seeds) cannot be told from the highest",
        ),
        (0.1, "Untrained weights reach 0.22 at layer 01, mean of 2 seeds."),
    ],
)
def test_untrained_weights_that_do_as_well_are_named(study, control, words):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED)
    study.add("big_untrained_2", {"01": 0.1, "02": 0.1, "03": control, "04": 0.1})
    assert words in study.row()["recommendation"]


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


def test_layers_that_untrained_weights_match_one_by_one_are_called_that(study):
    words = study.add("big", CURVE).add("big_untrained_1", CURVE).row()["recommendation"]
    assert (
        "No layer is shown to be above the same layer of untrained weights (0.70 at this one, +0.000 (95%"
        in words
    )
    assert "what training adds is not shown." in words


def test_untrained_weights_that_are_better_layer_by_layer_are_called_that(study):
    better = {layer: score + 0.1 for layer, score in CURVE.items()}
    words = study.add("big", CURVE).add("big_untrained_1", better).row()["recommendation"]
    assert "Trained layers 01 to 04 are below the same layer of untrained weights" in words


@pytest.mark.parametrize(
    ("official", "words"),
    [
        (0.8, "official (0.80), is better: prefer it."),
        (0.701, "official (0.70), cannot be told from the highest layer."),
    ],
)
def test_the_owners_embedding_is_set_beside_the_best_layer(study, official, words):
    assert words in study.add("big", CURVE | {"official": official}).row()["recommendation"]


def test_a_permutation_test_that_finds_more_than_the_interval_is_named(study):
    study.add("big", dict.fromkeys(("01", "02", "03", "04"), 0.01))
    study.rows = [replace(row, p_value=0.004) for row in study.rows]
    words = study.row()["recommendation"]
    assert "not distinguishable from 0, though more than a random re-arrangement of these very items" in words
    assert "(p = 0.004 for this layer alone)" in words


def test_a_final_layer_that_is_told_from_the_highest_is_not_called_indistinguishable(study):
    row = study.add("big", {"01": 0.514, "02": 0.515, "03": 0.514, "04": 0.5}).row()
    assert row["confidence_set"] == "01,02,03"
    assert row["gain_p"] > 0.05
    assert "is shown to be better than the final one" in row["recommendation"]


def test_a_gain_that_other_conditions_make_doubtful_is_not_called_indistinguishable(study):
    curve = {"01": 0.3, "02": 0.502, "03": 0.4, "04": 0.485}
    study.add("big", curve)
    assert "use layer 02" in study.row()["recommendation"]
    for number in range(40):
        study.add("big", dict.fromkeys(curve, 0.3), condition=f"other{number}")
    words = study.choose().layers.set_index("condition").loc["blood", "recommendation"]
    assert words.startswith("For blood, no layer of big is shown to be better than the final one")
    assert "against it, which could be chance among all conditions and models (p = " in words


def test_a_study_without_an_untrained_control_says_so(study):
    assert "No untrained control was run" in study.add("big", CURVE).row()["recommendation"]


def test_what_enters_the_first_block_is_named_where_it_does_as_well(study):
    words = study.add("big", CURVE | {"00": 0.75}).row()["recommendation"]
    assert "What enters the first block (layer 00) scores no less, 0.75." in words


def test_a_score_like_0_is_called_that(study):
    curve = dict.fromkeys(("01", "02", "03", "04"), 0.01)
    assert "not distinguishable from 0" in study.add("big", curve).row()["recommendation"]


def test_undefined_layers_are_passed_by_with_their_reason(study):
    row = study.add("big", CURVE | {"02": "constant layer"}).row()
    assert (row["best_layer"], row["status"], row["reason"]) == ("03", "ok", "constant layer")


def test_a_model_without_any_score_is_said_to_have_none(study):
    row = study.add("big", dict.fromkeys(CURVE, "constant layer")).row()
    assert (row["status"], row["best_layer"]) == ("undefined", "")
    assert row["recommendation"] == "No layer of big can be recommended for blood: constant layer."


class Halves:
    """Errors of scores on halves of the data."""

    def __init__(self, error):
        self.random, self.error = np.random.default_rng(2), error

    def normal(self, size):
        return self.error * self.random.normal(size=size)


def test_the_choice_is_tried_out_on_halves(study):
    row = study.add("big", CURVE, halves=Halves(0.001)).row()
    assert (row["heldout_layer"], row["heldout_layer_share"]) == ("02", 1)
    assert row["heldout_estimate"] == pytest.approx(0.7, abs=0.002)
    assert row["heldout_gain"] == pytest.approx(0.2, abs=0.002)
    assert abs(row["optimism"]) < 0.002


def test_a_choice_that_brings_nothing_on_other_data_is_called_that(study):
    halves = Halves(0.0)
    study.add("big", CURVE | {"04": 0.6}, halves=halves)
    for path in study.paths:
        stored = read_resamples(path)
        if path.name == "layer_04.npz":
            stored["spearman@scored_on"] = stored["spearman@scored_on"] + 0.2
            stored["spearman@chosen_on"] = stored["spearman@chosen_on"] - 0.2
            write_resamples(path, stored)
    words = study.row()["recommendation"]
    assert (
        "Chosen on one half of the data and scored on the other, it brings nothing (-0.050 against" in words
    )


def test_without_halves_the_choice_is_not_tried_out(study):
    row = study.add("big", CURVE).row()
    assert np.isnan(row["heldout_gain"])
    assert row["heldout_layer"] == ""


def test_p_values_are_corrected_for_all_conditions_of_a_task(study):
    for condition, task in (("blood", "trajectory"), ("marrow", "trajectory"), ("Rest", "perturbation")):
        study.add("big", CURVE, condition=condition, task=task)
    table = study.choose().layers.set_index("condition")
    alone, family = table["gain_p"], table["gain_p_family"]
    np.testing.assert_allclose(family[["blood", "marrow"]], 2 * alone["blood"])
    assert family["Rest"] == alone["Rest"]


def test_the_curve_has_simultaneous_intervals_and_differences(study):
    curve = study.add("big", CURVE).choose().curves.set_index("layer")
    assert curve.index.tolist() == ["01", "02", "03", "04"]
    assert (curve["simultaneous_low"] < curve["ci_low"]).all()
    assert (curve["simultaneous_high"] > curve["ci_high"]).all()
    np.testing.assert_allclose(curve["over_final"], [-0.2, 0.2, 0.19, 0.0], atol=1e-9)
    np.testing.assert_allclose(curve["over_first"], [0.0, 0.4, 0.39, 0.2], atol=1e-9)
    np.testing.assert_allclose(curve["over_official"], [-0.15, 0.25, 0.24, 0.05], atol=1e-9)
    assert (curve.loc[["02", "03"], "over_final_low"] > 0).all()
    assert np.isnan(curve.loc["04", "over_final_p"])
    assert (curve.loc[["01", "02", "03"], "over_final_p"] < 0.01).all()
    assert curve["in_confidence_set"].tolist() == [False, True, True, False]
    assert curve["best_share"].sum() == pytest.approx(1)


def test_a_best_layer_that_moves_is_said_to_move(study):
    study.add("big", CURVE).add("big", CURVE | {"02": 0.3, "03": 0.31, "04": 0.6}, condition="marrow")
    (row,) = study.choose().shifts.to_dict("records")
    assert (row["condition"], row["other_condition"]) == ("blood", "marrow")
    assert (row["best_layer"], row["other_best_layer"], row["layers_possible_in_both"]) == ("02", "04", "")
    assert row["shift"] == pytest.approx(2 / 3)
    assert 0 < row["shift_ci_low"] <= row["shift_ci_high"]
    assert row["p_same_holm"] < 0.05
    assert "it moves between the two" in row["sentence"]


def test_a_shift_within_the_noise_is_no_evidence(study):
    study.add("big", CURVE).add("big", CURVE | {"02": 0.695, "03": 0.7}, condition="marrow")
    (row,) = study.choose().shifts.to_dict("records")
    assert (row["best_layer"], row["other_best_layer"]) == ("02", "03")
    assert row["p_same_holm"] > 0.05
    assert row["layers_possible_in_both"] == "02,03"
    assert "no evidence of a move: any of 2 layers may be the best in both" in row["sentence"]


def test_conditions_of_different_tasks_are_not_compared(study):
    study.add("big", CURVE).add("big", CURVE, condition="Rest", task="perturbation")
    assert len(study.choose().shifts) == 0


def test_every_condition_has_its_own_row(study):
    study.add("big", CURVE).add("big", CURVE, condition="Rest", task="perturbation")
    study.add("hvg_pca", {"official": 0.9}, condition="Rest", task="perturbation")
    found = study.choose().layers
    assert found["condition"].tolist() == ["Rest", "blood"]
    assert found["best_baseline"].tolist() == ["hvg_pca", ""]


def test_scores_without_resamples_are_compared_without_claims(study):
    study.add("big", CURVE)
    study.paths.clear()
    row = study.row()
    assert np.isnan(row["gain_ci_low"])
    assert "could not be tested" in row["recommendation"]


def test_unpaired_resamples_are_refused(study):
    study.add("big", CURVE)
    write_resamples(study.paths[3], {"spearman": np.zeros(7)})
    with pytest.raises(DataError, match=r"7: score them again with the same settings"):
        study.row()


def test_a_path_of_another_form_is_refused(study):
    study.add("big", CURVE).paths.append("somewhere/else.npz")
    with pytest.raises(DataError, match=r"else\.npz: expected"):
        study.row()


def test_models_without_kind_or_layers_are_refused():
    with pytest.raises(ConfigError, match="big: kind must be"):
        models_of({"big": {"layers": 4}})
    with pytest.raises(ConfigError, match="big: layers must be a number, found None"):
        models_of({"big": {"kind": "foundation"}})


def test_the_script_reads_long_lists_from_a_file_or_a_folder(study, tmp_path):
    expected = study.add("big", CURVE).add("hvg_pca", {"official": 0.6}).choose()
    (tmp_path / "files").write_text("\n".join(map(str, study.paths)) + "\n")
    models = '{"big": {"kind": "foundation", "layers": 4}, "hvg_pca": {"kind": "baseline", "layers": 0}}'
    arguments = ["--scores", f"{tmp_path}/scores.tsv", "--resamples", f"@{tmp_path}/files"]
    tables = ["--curves", f"{tmp_path}/curves.tsv", "--shifts", f"{tmp_path}/shifts.tsv"]
    to = ["--output", f"{tmp_path}/layers.tsv"]
    main([*arguments, "--models", models, *tables, *to])
    assert len(read_table(tmp_path / "curves.tsv")) == 4
    assert len(read_table(tmp_path / "shifts.tsv")) == 0
    by_list = (tmp_path / "layers.tsv").read_bytes()
    main(["--scores", f"{tmp_path}/scores.tsv", "--folder", str(tmp_path), "--models", models, *tables, *to])
    assert (tmp_path / "layers.tsv").read_bytes() == by_list
    written = read_table(tmp_path / "layers.tsv", text=["best_layer", "final_layer", "confidence_set"])
    assert written["best_layer"].tolist() == ["02"]
    assert written["gain_ci_low"].iloc[0] == pytest.approx(expected.layers["gain_ci_low"].iloc[0])
