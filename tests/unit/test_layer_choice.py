"""The layer to use, and the sentence that says so, follow from paired scores."""

import numpy as np
import pytest

from choose_layers import main
from layerscope.errors import ConfigError, DataError
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.tables import Score, depth, read_scores, read_table, write_resamples, write_scores

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

    def add(self, model, curve, condition="blood", task="trajectory", n_layers=4, metric="spearman"):
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
            write_resamples(path, {metric: values})
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


def test_the_gains_interval_is_paired(study):
    """The errors that layers share (0.02) cancel; their own (0.005 each) stay."""
    row = study.add("big", CURVE).row()
    assert row["gain_ci_high"] - row["gain_ci_low"] == pytest.approx(2 * 1.96 * 0.005 * np.sqrt(2), rel=0.15)
    assert row["gain_p"] < 0.01


def test_layers_that_cannot_be_told_from_the_best_are_named(study):
    assert study.add("big", CURVE | {"03": 0.695}).row()["confidence_set"] == "02,03"


def test_a_better_layer_is_recommended_in_words(study):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED).add("hvg_pca", {"official": 0.6})
    assert study.row()["recommendation"] == (
        "For blood, use layer 02 of 4 (33% depth) of big: it scores 0.70 (95% interval 0.66 to 0.74), "
        "+0.20 (95% interval 0.19 to 0.21) against the final layer; layer 03 cannot be told from it. "
        "The best baseline, hvg_pca, reaches 0.60. Untrained weights reach 0.35 at layer 01."
    )


def test_no_layer_is_recommended_over_the_final_one_without_evidence(study):
    words = study.add("big", {"01": 0.3, "02": 0.502, "03": 0.4, "04": 0.5}).row()["recommendation"]
    assert words.startswith("For blood, no layer of big is distinguishable from the final one, which will do")


def test_a_final_layer_that_scores_highest_is_recommended(study):
    words = study.add("big", {"01": 0.3, "02": 0.4, "03": 0.4, "04": 0.5}).row()["recommendation"]
    assert words.startswith("For blood, use the final layer of big (layer 04 of 4 (100% depth)): it scores")


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (0.8, "The baseline hvg_pca is better (0.80): prefer it."),
        (0.701, "The baseline hvg_pca does as well (0.70)."),
        (0.1, "The best baseline, hvg_pca, reaches 0.10."),
    ],
)
def test_a_baseline_that_is_better_or_as_good_is_named(study, baseline, words):
    assert words in study.add("big", CURVE).add("hvg_pca", {"official": baseline}).row()["recommendation"]


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (0.9, "Untrained weights do better (0.90 at layer 03): training does not explain this score."),
        (0.7, "Untrained weights do as well (0.70 at layer 03): training does not explain this score."),
        (0.1, "Untrained weights reach 0.35 at layer 01."),
    ],
)
def test_untrained_weights_that_do_as_well_are_named(study, control, words):
    study.add("big", CURVE).add("big_untrained_1", UNTRAINED)
    study.add("big_untrained_2", {"01": 0.1, "02": 0.1, "03": control, "04": 0.1})
    assert words in study.row()["recommendation"]


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


def test_the_script_reads_long_lists_from_a_file(study, tmp_path):
    expected = study.add("big", CURVE).add("hvg_pca", {"official": 0.6}).choose()
    (tmp_path / "files").write_text("\n".join(map(str, study.paths)) + "\n")
    models = '{"big": {"kind": "foundation", "layers": 4}, "hvg_pca": {"kind": "baseline", "layers": 0}}'
    arguments = ["--scores", f"{tmp_path}/scores.tsv", "--resamples", f"@{tmp_path}/files"]
    main([*arguments, "--models", models, "--output", f"{tmp_path}/layers.tsv"])
    written = read_table(tmp_path / "layers.tsv", text=["best_layer", "final_layer", "confidence_set"])
    assert written["best_layer"].tolist() == ["02"]
    assert written["gain_ci_low"].iloc[0] == pytest.approx(expected.layers["gain_ci_low"].iloc[0])
