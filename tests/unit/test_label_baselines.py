"""Baselines that learn from labels: what a published method gives on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from cell_files import write_cells
from label_cells import ABOUT, QUICK, cells
from scipy import sparse
from scipy.stats import norm, rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from layerscope.extraction.embeddings_file import read_layer
from layerscope.models.baselines import compute_baseline
from layerscope.tables import Score, Subject
from layerscope.tasks.jobs import ScoringJob, score
from layerscope.tasks.label.design import Design, design_of
from layerscope.tasks.label.readers import anova_components
from layerscope.tasks.label.scores import score_layer
from layerscope.tasks.label.settings import LabelSettings

N_GENES = 80
Floats = npt.NDArray[np.float64]


def expressed(obs: pd.DataFrame, seed: int = 0) -> npt.NDArray[np.float32]:
    """Counts of genes some of which tell the types apart."""
    random = np.random.default_rng(seed)
    kind = pd.factorize(obs["cell_type"], sort=True)[0]
    means = random.gamma(2, 1, size=(kind.max() + 1, N_GENES))
    means[:, 20:] = means[0, 20:]
    drawn = random.poisson(means[kind]) + np.eye(len(obs), N_GENES)
    return np.asarray(drawn, dtype=np.float32)


def embedded(folder: Path, baseline: str, obs: pd.DataFrame, values: npt.NDArray[np.float32]) -> Floats:
    var = pd.DataFrame({"symbol": [f"G{i}" for i in range(N_GENES)]}, index=[f"G{i}" for i in range(N_GENES)])
    kept = anndata.AnnData(sparse.csr_matrix(values), obs, var)
    write_cells(folder / "cells.h5ad", kept, {"condition": "c", "dataset": "c", "values": "counts"})
    compute_baseline(baseline, folder / "cells.h5ad", folder / "embeddings.h5ad", {}, seed=1)
    return np.asarray(read_layer(folder / "embeddings.h5ad", "official").matrix, dtype=np.float64)


def rows_of(
    family: str, obs: pd.DataFrame, matrix: Floats, **settings: Any
) -> tuple[dict[str, Score], Design]:
    chosen = LabelSettings.read(QUICK | settings)
    design = design_of(obs, chosen, 1)
    made = score_layer(matrix, design, chosen, Subject(**ABOUT, seed=1, family=family))
    return {row.metric: row for row in made.rows}, design


def normal_scores(values: npt.NDArray[np.float32]) -> Floats:
    scores = norm.ppf(rankdata(values, axis=1) / (values.shape[1] + 1))
    return np.asarray(scores / np.linalg.norm(scores, axis=1, keepdims=True))


def test_sctop_projects_cells_on_the_mean_profiles_of_training_cells(tmp_path: Path) -> None:
    obs = cells(n_cells=200)
    values = expressed(obs)
    matrix = embedded(tmp_path, "sctop", obs, values)
    np.testing.assert_allclose(matrix, normal_scores(values), atol=1e-6)
    rows, design = rows_of("sctop", obs, matrix)
    profiles, types, predicted = matrix[design.cells], design.types, np.empty(200, dtype=int)
    for fold in np.unique(design.folds):
        test = design.folds == fold
        basis = np.column_stack([profiles[~test & (types == kind)].mean(axis=0) for kind in range(3)])
        projected = np.linalg.inv(basis.T @ basis) @ basis.T @ profiles[test].T
        predicted[test] = projected.argmax(axis=0)
    assert rows["probe_macro_f1"].estimate == pytest.approx(f1_score(types, predicted, average="macro"))
    assert rows["probe_macro_f1"].estimate > 0.8
    assert rows["probe_macro_f1"].null_mean < 0.5


def test_anova_pca_is_fitted_to_the_training_cells_of_each_fold(tmp_path: Path) -> None:
    obs = cells(n_cells=200)
    matrix = embedded(tmp_path, "anova_pca", obs, expressed(obs))
    rows, design = rows_of("anova_pca", obs, matrix)
    profiles, types, predicted = matrix[design.cells], design.types, np.empty(200, dtype=int)
    for fold in np.unique(design.folds):
        test = design.folds == fold
        mean, spread = profiles[~test].mean(axis=0), profiles[~test].std(axis=0)
        scaled = (profiles - mean) / spread
        components = PCA(whiten=True, svd_solver="full").fit(scaled[~test])
        probe = LogisticRegression(C=200 / (~test).sum(), class_weight="balanced", max_iter=5000, tol=1e-6)
        probe.fit(components.transform(scaled[~test]), types[~test])
        predicted[test] = probe.predict(components.transform(scaled[test]))
    expected = f1_score(types, predicted, average="macro")
    assert rows["probe_macro_f1"].estimate == pytest.approx(expected, abs=0.01)


def test_genes_are_chosen_by_training_cells_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.tasks.label import readers

    monkeypatch.setattr(readers, "N_GENES", 3)
    random = np.random.default_rng(0)
    train, test, labels = random.normal(size=(60, 30)), random.normal(size=(20, 30)), np.arange(60) % 2
    train[:, [4, 11, 25]] += 3 * labels[:, None]
    components, of_test = anova_components(train, test, labels)
    assert components.shape == (60, 3)
    informative = train[:, [4, 11, 25]]
    fit = np.linalg.lstsq(np.c_[informative, np.ones(60)], components, rcond=None)[0]
    np.testing.assert_allclose(np.c_[informative, np.ones(60)] @ fit, components, atol=1e-8)
    np.testing.assert_allclose(np.c_[test[:, [4, 11, 25]], np.ones(20)] @ fit, of_test, atol=1e-8)


@pytest.mark.parametrize("family", ["sctop", "anova_pca"])
def test_labels_of_donors_are_read_by_each_method(tmp_path: Path, family: str) -> None:
    obs = cells(n_cells=240, n_donors=12)
    obs["disease"] = np.where(obs["donor"].str[-1].astype(int) % 2 == 0, "ill", "well")
    values = expressed(obs)
    values[:, 60:64] += np.where(obs["disease"] == "ill", 3, 0)[:, None].astype(np.float32)
    rows, _ = rows_of(family, obs, embedded(tmp_path, family, obs, values), column="disease")
    assert rows["donor_auc"].estimate > 0.9
    assert rows["donor_auc"].p_value < 0.05


def test_a_composition_knows_its_sample_and_nothing_of_the_cell(tmp_path: Path) -> None:
    obs = cells(n_cells=240, n_types=3, n_donors=12)
    ill = obs["donor"].str[-1].astype(int).to_numpy() % 2 == 0
    obs["disease"] = np.where(ill, "ill", "well")
    obs.loc[ill & (np.random.default_rng(0).random(240) < 0.5), "cell_type"] = "type 2"
    matrix = embedded(tmp_path, "composition", obs, expressed(obs))
    shares = pd.crosstab(obs["donor"], obs["cell_type"], normalize="index")
    np.testing.assert_allclose(matrix, shares.loc[obs["donor"]], atol=1e-6)
    row = rows_of("composition", obs, matrix, column="disease")[0]["donor_auc"]
    assert row.estimate > 0.9 and row.p_value < 0.05


@pytest.mark.parametrize("missing", ["cell_type", "donor"])
def test_a_composition_needs_types_and_samples(tmp_path: Path, missing: str) -> None:
    obs = cells(n_cells=60).assign(disease="ill")
    obs.loc[::2, "disease"] = "well"
    values = expressed(obs)
    obs = obs.drop(columns=missing)
    assert np.isnan(embedded(tmp_path, "composition", obs, values)).all()
    job = ScoringJob(
        protocol="strict",
        settings=LabelSettings(column="disease"),
        condition="c",
        model="composition",
        layer="official",
        embeddings=tmp_path / "embeddings.h5ad",
        obs=obs,
        reference=None,
        seed=1,
    )
    rows = score("label", job).rows
    assert {row.status for row in rows} == {"not_available"}
    assert all(missing in row.reason for row in rows)


def test_samples_of_one_donor_have_compositions_of_their_own(tmp_path: Path) -> None:
    obs = cells(n_cells=240, n_types=3, n_donors=6)
    obs["sample"] = np.resize(["before", "after"], 240)
    matrix = embedded(tmp_path, "composition", obs, expressed(obs))
    shares = pd.crosstab([obs["donor"], obs["sample"]], obs["cell_type"], normalize="index")
    expected = shares.loc[list(zip(obs["donor"], obs["sample"], strict=True))]
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
