"""What the embedded study must find, because its truth is known."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from workflow_study import STUDY, Checkout

from layerscope.statistics.trust import decides
from layerscope.tables import read_scores, read_table

TRAINED = ["embedded_scfoundation", "embedded_tahoe_x1"]


@pytest.fixture(scope="module")
def scores(finished: Checkout) -> pd.DataFrame:
    return read_scores(finished.folder / "results/tables/scores.tsv")


@pytest.fixture(scope="module")
def layers(finished: Checkout) -> pd.DataFrame:
    return read_table(
        finished.folder / "results/tables/layers.tsv", text=["best_layer", "final_layer", "use"]
    )


def row(scores: pd.DataFrame, **identity: str) -> pd.Series:
    chosen = scores
    for column, value in identity.items():
        chosen = chosen[chosen[column] == value]
    assert len(chosen) == 1, identity
    return chosen.iloc[0]


def test_the_pca_pseudotime_is_the_true_one(scores: pd.DataFrame) -> None:
    found = row(scores, model="hvg_pca", metric="spearman_true_pseudotime")
    assert found.estimate > 0.9
    assert found.ci_low > 0.9


def test_quality_metrics_alone_know_nothing_of_the_trajectory(scores: pd.DataFrame) -> None:
    assert abs(row(scores, model="qc_only", metric="spearman_true_pseudotime").estimate) < 0.3


def test_the_reference_separates_pairs_that_share_a_module(finished: Checkout) -> None:
    folder = finished.folder / "results"
    with np.load(folder / "references/simulated_Stim48hr/paper/similarity.npz") as stored:
        names, similarity = stored["names"], stored["values"]
    obs = anndata.read_h5ad(folder / "cells/simulated_Stim48hr/cells.h5ad").obs
    modules = obs.groupby("perturbation", observed=True)["true_module"].first().astype(str)
    sets = [set(modules[name].split("+")) for name in names]
    upper = np.triu_indices(len(names), k=1)
    same = np.array([bool(sets[i] & sets[j]) for i, j in zip(*upper, strict=True)])
    values = similarity[upper]
    wins = (values[same][:, None] > values[~same][None, :]).mean()
    assert same.any() and not same.all()
    assert wins > 0.9


@pytest.mark.parametrize("condition", STUDY["study"]["conditions"])
def test_training_helps_or_the_report_says_that_it_does_not(layers: pd.DataFrame, condition: str) -> None:
    rows = layers[(layers.condition == condition) & decides(layers)]
    better = [
        model.best_layer
        for model in rows.itertuples()
        if model.over_untrained_ci_low > 0 and model.best_ci_low > model.best_untrained_ci_high
    ]
    assert better or rows.training_helped.str.contains("^(?:no|unknown): ").all()


@pytest.mark.parametrize("condition", STUDY["study"]["conditions"])
def test_the_best_planted_layer_is_recommended_and_of_layers_that_are_alike_none(
    layers: pd.DataFrame, condition: str
) -> None:
    planted, alike = (row(layers, condition=condition, model=name) for name in ("planted", "planted_alike"))
    assert (planted.verdict, planted.use) == ("use_layer", "02")
    assert planted.gain_p_family < 0.05
    assert alike.verdict != "use_layer"
    assert not alike.gain_p_family < 0.05


@pytest.mark.parametrize("model", TRAINED)
def test_every_layer_of_a_model_is_scored(scores: pd.DataFrame, model: str) -> None:
    chosen = scores[(scores.model == model) & (scores.metric == "spearman")]
    # what enters Tahoe-X1's first block at its cell token is the same for every cell
    constant = chosen[chosen.status != "ok"]
    assert set(constant.layer) <= {"00"}
    assert constant.reason.str.contains("constant").all()
    chosen = chosen[chosen.layer != "00"]
    assert set(chosen.condition) == set(STUDY["study"]["conditions"])
    assert (chosen.status == "ok").all()
    assert (chosen.ci_low <= chosen.estimate).all() and (chosen.estimate <= chosen.ci_high).all()


def test_the_page_is_whole_and_needs_no_network(finished: Checkout) -> None:
    page = (finished.folder / "results/report.html").read_text(encoding="utf-8")
    assert len(page) < 10_000_000
    assert "simulated" in page
    assert "<script src" not in page and '<link rel="stylesheet"' not in page
    assert page.rstrip().endswith("</html>")


def test_cell_types_are_told_apart_by_genes_and_not_by_quality(finished: Checkout) -> None:
    conditions = {"conditions": ["simulated_cell_types"]}
    config = finished.write_config("types.yaml", STUDY | {"study": STUDY["study"] | conditions})
    folder = "results/scores/label/simulated_cell_types/strict"
    targets = [f"{folder}/{model}/layer_official.tsv" for model in ("hvg_pca", "qc_only")]
    run = finished.snakemake(*targets, "--configfile", config)
    assert run.returncode == 0, run.stdout
    by_genes, by_quality = (
        row(read_scores(finished.folder / target), metric="probe_macro_f1") for target in targets
    )
    assert by_genes.ci_low > 0.75
    assert by_quality.ci_high < 0.25
    assert by_genes.null_mean < 0.15
    assert "each of 2 batches tested by the others" in by_genes.reason


def test_one_layer_is_exported_ready_for_scanpy(finished: Checkout) -> None:
    target = "results/embeddings/simulated_differentiation/embedded_tahoe_x1/layer_04.h5ad"
    run = finished.snakemake(target, "--configfile", "study.yaml")
    assert run.returncode == 0, run.stdout
    layer = anndata.read_h5ad(finished.folder / target)
    cells = anndata.read_h5ad(finished.folder / "results/cells/simulated_differentiation/cells.h5ad")
    assert list(layer.obs_names) == list(cells.obs_names)
    assert layer.X.shape == (cells.n_obs, 64)
    assert "cell_type" in layer.obs
