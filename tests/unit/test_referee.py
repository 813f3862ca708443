"""Every objection of a referee is answered by a number of the study, or said not to have been run."""

import json

import numpy as np
import pandas as pd
import pytest

from answer_referee import main
from layerscope.figures.models import read_models
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

HARDER = "The first layer's advantage in resting cells is not tested against a harder task"
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
CONDITIONS = {
    "blood": ("trajectory", "paper", "spearman"),
    "Rest": ("perturbation", "strict", "spearman"),
    "types": ("cell_type", "strict", "probe_macro_f1"),
}


def write_study(folder, models):
    """A study's tables, made by the code that makes them: layer 02 is best, scores differ by their top."""
    random = np.random.default_rng(0)
    rows, stored = [], []
    for condition, (task, protocol, metric) in CONDITIONS.items():
        shared = 0.05 * random.normal(size=300)
        for model in models:
            for layer in LAYERS:
                value = TOPS.get(model, 0.2) - 0.1 * (layer != "02")
                values = value + shared + 0.01 * random.normal(size=300)
                about = {"condition": condition, "model": model, "layer": layer, "depth": depth(layer, 3)}
                about |= {"task": task, "protocol": protocol}
                low, high = np.quantile(values, [0.025, 0.975])
                rows.append(Score(**about, metric=metric, estimate=value, ci_low=low, ci_high=high))
                if task != "cell_type":
                    rows.append(Score(**about, metric=f"{metric}_unit_norm", estimate=value - 0.03))
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
    about = {"model": "reference", "layer": "official", "depth": np.nan, "task": "perturbation"}
    ceiling = Score(
        **about,
        condition="Rest",
        protocol="strict",
        metric="ceiling_by_split",
        estimate=0.4,
        ci_low=0.1,
        ci_high=0.7,
    )
    write_scores(folder / "ceilings.tsv", [ceiling])
    summary = pd.DataFrame({"group": ["all", "batch: a", "all"], "cells_after": [900, 400, 850]})
    write_table(folder / "Rest" / "summary.tsv", summary)
    return folder


def answered(folder, models, *without):
    arguments = [f"--{name}={folder}/{name}.tsv" for name in ("scores", "layers", "curves", "ceilings")]
    arguments = [one for one in arguments if not any(name in one for name in without)]
    settings = {"models": models, "config": {"resampling": {"resamples": 300, "splits": 20}}}
    output = folder / "tables" / "referee.tsv"
    arguments += ["--summaries", f"{folder}/Rest/summary.tsv", "--settings", json.dumps(settings)]
    main([*arguments, "--output", str(output)])
    return read_table(output, text=["status", "answer", "file", "column", "configure"]).set_index("objection")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), MODELS)


@pytest.fixture(scope="module")
def table(folder):
    return answered(folder, MODELS)


def test_every_objection_has_one_row_and_all_are_answered(table):
    assert table.index.tolist() == list(OBJECTIONS)
    assert set(table["status"]) == {"answered"}
    assert table["number"].notna().all()
    assert (table["configure"] == "").all()
    assert (table["file"] != "").all()


def test_the_numbers_are_those_of_the_tables(table, folder):
    number = table["number"]
    assert number["Scores have no error bars"] == 1
    assert number["The significance of the peak at 60% depth is not stated"] < 0.05
    assert number["No control for the scale of features"] == pytest.approx(0.03)
    assert number["No control for noise"] == 0.4
    assert number["No control for the pretraining objective"] == 1
    ablation = "The first layer's advantage in resting cells is not tested against an ablation of the input"
    assert number[ablation] == pytest.approx(0.6 - 0.35)
    assert number[HARDER] == pytest.approx(0)
    optimism = read_table(folder / "layers.tsv")["optimism"]
    assert number["Data splits are not given"] == pytest.approx(optimism.median())
    assert optimism.median() > 0.02
    assert number["Cell numbers per state are not given"] == 850
    assert number["Hyper-parameters are not given"] == 2
    assert number["Figures have no intervals"] == 3


def test_the_words_hold_the_numbers(table):
    answer = table["answer"]
    assert "9 of 9 scores of layers have a 95% interval" in answer["Scores have no error bars"]
    assert "in 3 of 3 curves" in answer["No control for the pretraining objective"]
    assert "(5 seeds)" in answer["No control for the pretraining objective"]
    assert "by -0.100 (median)" in answer["No control for the pretraining objective"]
    assert "above 0 in 1 of 1 conditions" in answer["No control for noise"]
    assert "Rest 850" in answer["Cell numbers per state are not given"]
    assert "in 0 of 1 curves" in answer[HARDER]
    for figure in ("trajectory_paper.svg", "perturbation_strict.svg", "cell_type_strict.svg"):
        assert figure in answer["Figures have no intervals"]


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
    training = table.loc["No control for the pretraining objective"]
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
