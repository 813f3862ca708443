"""Every objection of a referee is answered by a number of the study, or said not to have been run."""

import re

import numpy as np
import pandas as pd
import pytest

from layerscope.report.objections import OBJECTIONS
from layerscope.report.referee import write_referee
from layerscope.report.views import UNSEEN as WITHOUT_EFFECT
from layerscope.statistics.evidence import models_of
from layerscope.statistics.layer_choice import choose_layers
from layerscope.tables import (
    SCORE_COLUMNS,
    Score,
    depth,
    read_scores,
    read_table,
    write_resamples,
    write_scores,
    write_table,
)
from layerscope.tasks.trajectory.variants import UNSEEN

BARS = "Scores have no error bars"
PEAK = "The significance of the peak at 60% depth is not stated"
SCALE = "No control for the scale of features"
NOISE = "No control for noise"
OBJECTIVE = "No control for the pretraining objective"
HARDER = "The first layer's advantage in resting cells is not tested against a harder task"
ABLATION = "The first layer's advantage in resting cells is not tested against an ablation of the input"
SPLITS = "Data splits are not given"
CELLS = "Cell numbers per state are not given"
SETTINGS = "Hyper-parameters are not given"

LAYERS = ("01", "02", "03")
UNTRAINED = {"kind": "control", "control": "untrained", "of": "big", "layers": 3}
MODELS = {
    "big": {"kind": "foundation", "control": None, "of": None, "layers": 3},
    "big_gene_permuted": UNTRAINED | {"control": "gene_permuted"},
    "big_values_permuted": UNTRAINED | {"control": "values_permuted"},
    **{f"big_untrained_{seed}": UNTRAINED for seed in range(1, 6)},
}
TOPS = {"big": 0.6, "big_gene_permuted": 0.5, "big_values_permuted": 0.35}
N_CELLS = {"trajectory": 900, "perturbation": 720, "label": 900}
RUNS = [
    ("blood", "trajectory", "paper", "spearman"),
    ("Rest", "perturbation", "paper", "spearman"),
    ("Rest", "perturbation", "strict", "spearman"),
    ("Stim", "perturbation", "strict", "spearman"),
    ("types", "label", "strict", "probe_macro_f1"),
]


def write_study(folder, models=MODELS, runs=RUNS, first=0.0):
    """A study's tables, made by the code that makes them: layer 02 is best, scores differ by their top.

    ``first`` is what the first layer of a trained model has more than the final one by protocol paper.
    """
    random = np.random.default_rng(0)
    rows, paths = [], []
    for condition, task, protocol, metric in runs:
        shared = 0.05 * random.normal(size=300)
        for model in models:
            for layer in LAYERS:
                value = TOPS.get(model, 0.2) - 0.1 * (layer != "02")
                if layer == "01" and protocol == "paper" and model == "big":
                    value += first
                values = value + shared + 0.01 * random.normal(size=300)
                about = {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, 3)}
                about |= {"task": task, "protocol": protocol, "n_cells": N_CELLS[task], "n_items": 24}
                low, high = np.quantile(values, [0.025, 0.975])
                rows.append(Score(**about, metric=metric, estimate=value, ci_low=low, ci_high=high))
                rows += varied(about, metric, value)
                if task == "perturbation":
                    rows.append(Score(**about, metric="spearman_shuffled_labels", estimate=0.01))
                paths.append(folder / task / condition / protocol / model / f"layer_{layer}.npz")
                sides = (f"{metric}@chosen_on", f"{metric}@scored_on")
                halves = {side: value + 0.1 * random.normal(size=20) for side in sides}
                write_resamples(paths[-1], {metric: values} | halves)
    write_scores(folder / "scores.tsv", rows)
    chosen = choose_layers(read_scores(folder / "scores.tsv"), paths, models_of(models))
    write_table(folder / "layers.tsv", chosen.layers)
    write_table(folder / "curves.tsv", chosen.curves)
    write_scores(folder / "ceilings.tsv", [ceiling("split", 0.4, 0.1), ceiling("guide", 0.3, -0.1)])
    summary = pd.DataFrame({"group": ["all", "batch: a", "all"], "cells_after": [900, 400, 850]})
    write_table(folder / "Rest" / "summary.tsv", summary)
    return folder


def varied(about, metric, value):
    """Centring moves a screen's score by 0.3; a trajectory's distances do not see the length of cells."""
    if about["task"] == "label":
        return []
    if about["task"] == "trajectory":
        _, unseen = UNSEEN["cosine"]
        return [Score(**about, metric=f"{metric}_unit_norm", estimate=value, reason=unseen)]
    changes = {"_unit_norm": 0.01} | ({"_centred": 0.3} if about["protocol"] == "paper" else {})
    return [Score(**about, metric=metric + name, estimate=value + change) for name, change in changes.items()]


def ceiling(kind, estimate, low):
    about = {"model": "reference", "layer": "official", "depth": np.nan, "task": "perturbation"}
    about |= {"condition": "Rest", "protocol": "strict", "metric": f"ceiling_by_{kind}"}
    return Score(**about, estimate=estimate, ci_low=low, ci_high=0.7)


def answered(folder, models=MODELS, **changes):
    files = {name: folder / f"{name}.tsv" for name in ("scores", "layers", "curves")}
    files["ceilings"] = [folder / "ceilings.tsv"]
    settings = {"models": models, "config": {"resampling": {"resamples": 300, "splits": 20}}}
    options = {"summaries": [folder / "Rest" / "summary.tsv"], "settings": settings}
    options["resamples"] = list(folder.glob("perturbation/*/*/*/layer_01.npz"))
    write_referee(folder / "referee.tsv", **files | options | changes)
    text = ["status", "answer", "file", "column", "configure"]
    return read_table(folder / "referee.tsv", text=text).set_index("objection")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def table(folder):
    return answered(folder)


def test_every_objection_has_one_row_and_is_answered_as_far_as_it_was_tested(table):
    assert table.index.tolist() == [objection.title for objection in OBJECTIONS]
    assert len(table) == 11
    assert table.index[table["status"] == "in part"].tolist() == [OBJECTIVE, HARDER]
    assert set(table["status"]) == {"answered", "in part"}
    assert table["number"].notna().all()
    assert ((table["configure"] == "") == (table["status"] == "answered")).all()


def test_every_file_and_column_that_is_named_is_there(table):
    for _, row in table[table["file"].str.endswith(".tsv")].iterrows():
        columns = read_table(row["file"]).columns
        named = [word for word in re.split(r"[ ,()]+", row["column"]) if "_" in word or word == "estimate"]
        named = [word for word in named if "..." not in word and not word.endswith("_permuted")]
        assert named
        assert set(named) <= set(columns), row["column"]


@pytest.mark.parametrize(
    ("objection", "number", "said"),
    [
        (PEAK, 1 / 301, ["blood paper big 50% (50% to 50%)", ": 0 of 1"]),
        (BARS, 120 / 312, ["label strict 24 of 24", "perturbation strict 48 of 144"]),
        (SCALE, 0.3, ["centring perturbation paper Rest 0.300", "centring perturbation paper Rest 3 of 3"]),
        (NOISE, 0.4, ["Rest 0.400 (0.100 to 0.700)", "ceiling_by_guide Rest 0.300 (-0.100", ": 0.010"]),
        (OBJECTIVE, 1, ["label 1 of 1, perturbation 3 of 3, trajectory 1 of 1", "label -0.100"]),
        (HARDER, 0, ["Rest strict big 0.000", "Rest paper big 0.000", "an advantage by paper: 0 of 1"]),
        (
            ABLATION,
            0.25,
            ["Rest paper big +0.250", "Rest paper big 50%", "2 of 2", "other conditions: 1 of 1"],
        ),
        (CELLS, 720, ["Rest paper 720", "types strict 900", "Rest strict 24", "Rest 850"]),
        (SETTINGS, 2, []),
    ],
)
def test_the_number_of_an_objection_and_those_of_its_conditions(table, objection, number, said):
    row = table.loc[objection]
    assert row["number"] == pytest.approx(number)
    assert [text for text in said if text not in row["answer"]] == []
    # only resting cells speak for the first layer, where a name says so
    assert "Stim" not in row["answer"] or objection not in (HARDER, ABLATION)


def test_what_equals_a_score_by_construction_is_no_evidence_of_its_robustness(table):
    varied, _, left_out = table.loc[SCALE, "answer"].partition("left out")
    assert "trajectory" in left_out
    assert "trajectory" not in varied
    assert all(WITHOUT_EFFECT in reason for _, reason in UNSEEN.values())


def test_a_first_layer_advantage_that_the_harder_task_takes_is_counted(tmp_path):
    row = answered(write_study(tmp_path, first=0.2)).loc[HARDER]
    assert row["status"] == "answered"
    assert "Rest paper big +0.200" in row["answer"]
    assert re.search("1 of 1; .*0 of 1", row["answer"])


def test_without_resting_cells_each_condition_is_given_and_the_answer_is_one_in_part(tmp_path):
    runs = [("Stim", "perturbation", protocol, "spearman") for protocol in ("paper", "strict")]
    runs.append(("cells", "perturbation", "strict", "spearman"))
    table = answered(write_study(tmp_path, runs=runs, first=0.2))
    for objection in (HARDER, ABLATION):
        assert table.loc[objection, "status"] == "in part"
        assert table.loc[objection, "configure"].endswith("Rest")
        assert "Stim" in table.loc[objection, "answer"] and "cells" in table.loc[objection, "answer"]


def test_the_loss_to_an_ablation_has_paired_intervals(table):
    answer = table.loc[ABLATION, "answer"]
    low, high = re.search(r"Rest paper big \+0.250 \(\+(\S+) to \+(\S+)\)", answer).groups()
    least, most = re.search(r"Rest paper big 50% \((\d+)% to (\d+)%\)", answer).groups()
    # an error of 0.05 that both layers share cancels
    assert 0.2 < float(low) < 0.25 < float(high) < 0.3
    assert 40 < int(least) < 50 < int(most) < 70


def test_where_nothing_is_lost_no_loss_is_counted(tmp_path, monkeypatch):
    monkeypatch.setitem(TOPS, "big_values_permuted", TOPS["big"])
    assert "lose: 0 of 2" in answered(write_study(tmp_path)).loc[ABLATION, "answer"]


def test_optimism_is_that_of_half_the_data_by_task(table, folder):
    optimism = read_table(folder / "layers.tsv")["optimism"]
    assert table.loc[SPLITS, "number"] == pytest.approx(optimism.median())
    assert optimism.median() > 0.02
    assert all(f"{task} 0." in table.loc[SPLITS, "answer"] for task in N_CELLS)


def test_what_was_not_run_is_said_with_what_to_configure(tmp_path):
    few = {name: MODELS[name] for name in ("big", "big_untrained_1")}
    table = answered(write_study(tmp_path, few), few, ceilings=[])
    assert table.index[table["status"] == "not run"].tolist() == [NOISE, ABLATION]
    noise = table.loc[NOISE]
    assert noise["configure"] == "study: protocols: perturbation: [paper, strict]"
    assert np.isnan(noise["number"]) and noise["answer"] == ""
    assert table.loc[OBJECTIVE, "status"] == "in part"
    assert "MODEL_untrained_5" in table.loc[OBJECTIVE, "configure"]
    assert "MODEL_gene_permuted" in table.loc[OBJECTIVE, "configure"]


def test_a_study_without_foundation_models_answers_nothing_that_it_cannot(tmp_path):
    chosen = choose_layers(pd.DataFrame(columns=list(SCORE_COLUMNS)), [], {})
    write_scores(tmp_path / "scores.tsv", [])
    write_table(tmp_path / "layers.tsv", chosen.layers)
    write_table(tmp_path / "curves.tsv", chosen.curves)
    settings = {"models": {"hvg_pca": {"kind": "baseline"}}}
    table = answered(tmp_path, ceilings=[], summaries=[], resamples=[], settings=settings)
    assert set(table["status"]) == {"not run"}
    assert (table["configure"] != "").all()


def test_planted_layers_answer_no_objection(tmp_path):
    models = MODELS | {"planted": MODELS["big"] | {"family": "planted"}}
    answers = answered(write_study(tmp_path, models), models)
    assert answers["answer"].str.contains("big").any()
    assert not answers["answer"].str.contains("planted").any()
