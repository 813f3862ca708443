"""Every objection of a referee is answered by a number of the study, or said not to have been run."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from answer_referee import main
from layerscope.figures.models import read_models
from layerscope.report.controls import UNSEEN as WITHOUT_EFFECT
from layerscope.report.objections import OBJECTIONS
from layerscope.report.outputs import Outputs
from layerscope.report.referee import referee
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.tables import (
    Score,
    depth,
    read_scores,
    read_table,
    write_resamples,
    write_scores,
    write_table,
)
from layerscope.tasks.trajectory.variants import UNSEEN

HARDER = "The first layer's advantage in resting cells is not tested against a harder task"
OBJECTIVE = "No control for the pretraining objective"
ABLATION = "The first layer's advantage in resting cells is not tested against an ablation of the input"
LAYERS = ("01", "02", "03")
SEEDS = 5
MODELS = {
    "big": {"kind": "foundation", "control": None, "of": None, "layers": 3},
    "big_gene_permuted": {"kind": "control", "control": "gene_permuted", "of": "big", "layers": 3},
    "big_values_permuted": {"kind": "control", "control": "values_permuted", "of": "big", "layers": 3},
    **{
        f"big_untrained_{seed}": {"kind": "control", "control": "untrained", "of": "big", "layers": 3}
        for seed in range(1, SEEDS + 1)
    },
}
TOPS = {"big": 0.6, "big_gene_permuted": 0.5, "big_values_permuted": 0.35}
CELLS = {"trajectory": 900, "perturbation": 720, "cell_type": 900}
RUNS = [
    ("blood", "trajectory", "paper", "spearman"),
    ("Rest", "perturbation", "paper", "spearman"),
    ("Rest", "perturbation", "strict", "spearman"),
    ("Stim", "perturbation", "strict", "spearman"),
    ("types", "cell_type", "strict", "probe_macro_f1"),
]


def write_study(folder, models, runs=RUNS, first=0.0):
    """A study's tables, made by the code that makes them: layer 02 is best, scores differ by their top.

    ``first`` is what the first layer of a trained model has more than the final one by protocol paper.
    """
    random = np.random.default_rng(0)
    rows, stored = [], []
    for condition, task, protocol, metric in runs:
        shared = 0.05 * random.normal(size=300)
        for model in models:
            for layer in LAYERS:
                value = TOPS.get(model, 0.2) - 0.1 * (layer != "02")
                if layer == "01" and protocol == "paper" and model == "big":
                    value += first
                values = value + shared + 0.01 * random.normal(size=300)
                about = {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, 3)}
                about |= {"task": task, "protocol": protocol, "n_cells": CELLS[task], "n_items": 24}
                low, high = np.quantile(values, [0.025, 0.975])
                rows.append(Score(**about, metric=metric, estimate=value, ci_low=low, ci_high=high))
                rows += varied(about, metric, value)
                if task == "perturbation":
                    rows.append(Score(**about, metric="spearman_shuffled_labels", estimate=0.01))
                path = folder / task / condition / protocol / model / f"layer_{layer}.npz"
                halves = {
                    f"{metric}@{side}": value + 0.1 * random.normal(size=20)
                    for side in ("chosen_on", "scored_on")
                }
                write_resamples(path, {metric: values} | halves)
                stored.append(path)
    write_scores(folder / "scores.tsv", rows)
    chosen = choose_layers(read_scores(folder / "scores.tsv"), stored, models_of(models))
    write_table(folder / "layers.tsv", chosen.layers)
    write_table(folder / "curves.tsv", chosen.curves)
    write_scores(folder / "ceilings.tsv", [ceiling("split", 0.4, 0.1), ceiling("guide", 0.3, -0.1)])
    summary = pd.DataFrame({"group": ["all", "batch: a", "all"], "cells_after": [900, 400, 850]})
    write_table(folder / "Rest" / "summary.tsv", summary)
    return folder


def varied(about, metric, value):
    """Centring moves a screen's score by 0.3; a trajectory's distances do not see the length of cells."""
    if about["task"] == "cell_type":
        return []
    if about["task"] == "trajectory":
        _, unseen = UNSEEN["cosine"]
        return [Score(**about, metric=f"{metric}_unit_norm", estimate=value, reason=unseen)]
    changes = {"_unit_norm": 0.01} | ({"_centred": 0.3} if about["protocol"] == "paper" else {})
    return [Score(**about, metric=metric + name, estimate=value + one) for name, one in changes.items()]


def ceiling(kind, estimate, low):
    about = {"model": "reference", "layer": "official", "depth": np.nan, "task": "perturbation"}
    about |= {"condition": "Rest", "protocol": "strict", "metric": f"ceiling_by_{kind}"}
    return Score(**about, estimate=estimate, ci_low=low, ci_high=0.7)


def answered(folder, models, *without):
    arguments = [f"--{name}={folder}/{name}.tsv" for name in ("scores", "layers", "curves", "ceilings")]
    arguments = [one for one in arguments if not any(name in one for name in without)]
    settings = {"models": models, "config": {"resampling": {"resamples": 300, "splits": 20}}}
    output = folder / "tables" / "referee.tsv"
    arguments += ["--summaries", f"{folder}/Rest/summary.tsv", "--settings", json.dumps(settings)]
    arguments += ["--resamples", *map(str, folder.glob("perturbation/*/*/*/layer_01.npz"))]
    main([*arguments, "--output", str(output)])
    return read_table(output, text=["status", "answer", "file", "column", "configure"]).set_index("objection")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), MODELS)


@pytest.fixture(scope="module")
def table(folder):
    return answered(folder, MODELS)


def test_every_objection_has_one_row_and_is_answered_as_far_as_it_was_tested(table):
    assert table.index.tolist() == list(OBJECTIONS)
    assert table.index[table["status"] == "in part"].tolist() == [OBJECTIVE, HARDER]
    assert set(table["status"]) == {"answered", "in part"}
    assert table["number"].notna().all()
    assert ((table["configure"] == "") == (table["status"] == "answered")).all()


def test_every_file_and_column_that_is_named_is_there(table, folder):
    for _, row in table[table["file"].str.endswith(".tsv")].iterrows():
        columns = read_table(row["file"]).columns
        named = [word for word in re.split(r"[ ,()]+", row["column"]) if "_" in word or word == "estimate"]
        named = [word for word in named if "..." not in word and not word.endswith("_permuted")]
        assert named
        assert set(named) <= set(columns), row["column"]


def test_intervals_are_counted_over_all_scores_and_those_without_are_named(table, folder):
    answer = table.loc["Scores have no error bars", "answer"]
    scores = read_scores(folder / "scores.tsv")
    with_interval = int(scores["ci_low"].notna().sum())
    assert "15 of 15 scores of trained layers by the primary metrics have a 95% interval" in answer
    assert f"{with_interval} of all {len(scores)} scores that exist" in answer
    assert "perturbation strict: ..._unit_norm, spearman_shuffled_labels" in answer
    assert "trajectory paper: ..._unit_norm" in answer
    assert "15 of 15 such scores" in table.loc["Figures have no intervals", "answer"]


def test_the_peak_is_given_with_the_interval_of_its_depth(table):
    row = table.loc["The significance of the peak at 60% depth is not stated"]
    assert row["number"] < 0.05
    assert "in 1 of 1 curves the best layer is above the final one" in row["answer"]
    assert "in 1 some layer is" in row["answer"]
    assert "holds 60% in 0" in row["answer"]
    assert "blood paper big 50% (50% to 50%), p 0." in row["answer"]


def test_the_largest_effect_of_centring_is_named_and_what_is_0_by_construction_left_out(table):
    row = table.loc["No control for the scale of features"]
    assert row["number"] == pytest.approx(0.3)
    assert "largest change: centring, Rest, paper, big layer" in row["answer"]
    assert (
        "the score hangs on it (most layers leave the 95% interval of their score): centring Rest paper;"
        in (row["answer"])
    )
    assert "perturbation paper Rest 0.010, perturbation strict Rest 0.010 Stim 0.010" in row["answer"]
    assert "left out: trajectory paper cells of unit length" in row["answer"]
    assert "perturbation strict centring" in row["answer"].split("without such a score: ")[1]
    assert all(WITHOUT_EFFECT in reason for _, reason in UNSEEN.values())


def test_all_kinds_of_ceilings_are_given(table):
    row = table.loc["No control for noise"]
    assert row["number"] == 0.4
    assert "by split 0.40 to 0.40 (interval above 0 in 1 of 1 conditions)" in row["answer"]
    assert "by guide 0.30 to 0.30 (interval above 0 in 0 of 1 conditions)" in row["answer"]
    assert "by lane" not in row["answer"]


def test_training_is_given_by_task_and_is_not_the_objective(table):
    row = table.loc[OBJECTIVE]
    assert row["number"] == 1
    assert "cell_type 1 of 1, perturbation 3 of 3, trajectory 1 of 1" in row["answer"]
    assert "-0.100 (cell_type), -0.100 (perturbation), -0.100 (trajectory)" in row["answer"]
    assert "not for its objective" in row["answer"]
    assert row["configure"] == "models of the same architecture and cells, pretrained with another objective"


def test_without_a_first_layer_advantage_there_is_none_to_test(table):
    row = table.loc[HARDER]
    assert row["number"] == pytest.approx(0)
    assert "by protocol paper no curve has a first-layer advantage to be tested: Rest big" in row["answer"]
    assert "Stim" not in row["answer"]


def test_a_first_layer_advantage_that_the_harder_task_takes_is_said(tmp_path):
    row = answered(write_study(tmp_path, MODELS, first=0.2), MODELS).loc[HARDER]
    assert row["status"] == "answered"
    assert "1 of 1 curves have a first-layer advantage by protocol paper (Rest big +0.200" in row["answer"]
    assert "of which 0 keep it by protocol strict" in row["answer"]


def test_without_resting_cells_each_condition_is_given_and_the_answer_is_one_in_part(tmp_path):
    runs = [("Stim", "perturbation", protocol, "spearman") for protocol in ("paper", "strict")]
    runs.append(("cells", "perturbation", "strict", "spearman"))
    table = answered(write_study(tmp_path, MODELS, runs, first=0.2), MODELS)
    for objection in (HARDER, ABLATION):
        assert table.loc[objection, "status"] == "in part"
        assert table.loc[objection, "configure"] == "a condition of resting cells, its name ending in Rest"
        assert "Stim" in table.loc[objection, "answer"] and "cells" in table.loc[objection, "answer"]


def test_the_loss_to_an_ablation_has_an_interval_and_a_share(table):
    row = table.loc[ABLATION]
    assert row["number"] == pytest.approx(0.25)
    assert "of 2 curves 2 score above 0 and 2 are shown to lose: these need how strongly" in row["answer"]
    loss = re.search(
        r"Rest paper big \+0.250 \((\S+) to (\S+)\) of 0.500, 50% \((\d+)% to (\d+)%\)", row["answer"]
    )
    low, high, least, most = map(float, loss.groups())
    assert 0.2 < low < 0.25 < high < 0.3
    assert 40 < least < 50 < most < 70
    assert "in other conditions of 1 curves" in row["answer"]


def test_where_nothing_is_lost_expression_levels_are_not_said_to_matter(tmp_path, monkeypatch):
    monkeypatch.setitem(TOPS, "big_values_permuted", TOPS["big"])
    answer = answered(write_study(tmp_path, MODELS), MODELS).loc[ABLATION, "answer"]
    assert "2 score above 0 and 0 are shown to lose, so none is shown to need how strongly" in answer


def test_optimism_is_that_of_half_the_data_by_task(table, folder):
    optimism = read_table(folder / "layers.tsv")["optimism"]
    row = table.loc["Data splits are not given"]
    assert row["number"] == pytest.approx(optimism.median())
    assert optimism.median() > 0.02
    assert "HALF" in row["answer"]
    assert all(f"{task} 0." in row["answer"] for task in CELLS)


def test_cells_are_those_that_are_scored(table):
    row = table.loc["Cell numbers per state are not given"]
    assert row["number"] == 720
    assert "Rest paper 720 of 24 perturbations, strict 720 of 24 perturbations" in row["answer"]
    assert "types strict 900" in row["answer"]
    assert "prepared (controls counted): Rest 850" in row["answer"]
    assert "obs column cell_type" in row["answer"]


def test_settings_are_counted_as_they_are_printed(table):
    assert table.loc["Hyper-parameters are not given", "number"] == 2


def test_what_was_not_run_is_said_with_what_to_configure(tmp_path):
    few = {name: MODELS[name] for name in ("big", "big_untrained_1")}
    table = answered(write_study(tmp_path, few), few, "ceilings")
    noise = table.loc["No control for noise"]
    assert (noise["status"], noise["configure"]) == (
        "not run",
        "study: protocols: perturbation: [paper, strict]",
    )
    assert np.isnan(noise["number"]) and noise["answer"] == ""
    assert table["status"].tolist().count("not run") == 2
    training = table.loc[OBJECTIVE]
    assert training["status"] == "in part"
    assert "MODEL_untrained_2 to MODEL_untrained_5" in training["configure"]
    assert "MODEL_gene_permuted" in training["configure"]


def test_a_study_without_foundation_models_answers_nothing_that_it_cannot():
    nothing = read_empty()
    table = referee(nothing).set_index("objection")
    assert set(table["status"]) == {"not run"}
    assert (table["configure"] != "").all()


def read_empty():
    scores = pd.DataFrame(columns=list(Score.__dataclass_fields__))
    chosen = choose_layers(scores, [], {})
    models = read_models({"models": {"hvg_pca": {"kind": "baseline"}}})
    paths = dict.fromkeys(("scores", "layers", "curves", "ceilings", "summaries", "report", "figures"), "")
    return Outputs(
        scores=scores.astype({"layer": str, "metric": str, "model": str, "status": str}),
        layers=chosen.layers.astype({"confidence_set": str, "task": str}),
        curves=chosen.curves,
        ceilings=pd.DataFrame(),
        summaries={},
        models=models,
        config={},
        paths=paths,
    )
