import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment, logged, score_matrix, write
from scipy.stats import spearmanr

from layerscope.tasks.perturbation.differential_expression import differential_expression
from layerscope.tasks.perturbation.pairs import Draws, Pairs, SameModule, of_all_pairs
from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk
from layerscope.tasks.perturbation.scores import same_module
from layerscope.tasks.perturbation.settings import PaperSettings
from layerscope.tasks.perturbation.similarity import profile_similarity, read_similarity


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Cells in modules, and the reference made from them."""
    folder = tmp_path_factory.mktemp("study")
    cells = experiment()
    write(folder / "cells.h5ad", cells)
    sum_pseudobulk(folder / "cells.h5ad", folder / "pseudobulk.h5ad", PaperSettings())
    differential_expression(folder / "pseudobulk.h5ad", folder / "profiles.h5ad", PaperSettings())
    profile_similarity(folder / "profiles.h5ad", folder / "similarity.npz")
    return folder, cells


def score(folder, matrix, cells, tmp_path):
    return score_matrix(tmp_path, matrix, cells, "paper", {"resamples": 200}, [folder])


def test_the_reference_tells_modules_apart(study):
    folder, cells = study
    names, matrix = read_similarity(folder / "similarity.npz")
    pairs = Pairs(len(names))
    assert of_all_pairs(SameModule(pairs.of(matrix), same_module(cells.obs, names, pairs)), pairs) > 0.95


def test_perturbations_of_several_modules_share_one_or_none():
    obs = pd.DataFrame({"perturbation": list("ABCD"), "true_module": ["x", "x+y", "y", ""]})
    pairs = Pairs(4)
    # AB, AC, AD, BC, BD, CD
    assert same_module(obs, list("ABCD"), pairs).tolist() == [True, False, False, True, False, False]


def test_the_score_is_the_correlation_of_upper_triangles_of_centroid_cosines(study, tmp_path):
    folder, cells = study
    matrix = logged(cells).astype(np.float32)
    rows, resamples = score(folder, matrix, cells, tmp_path)
    names, reference = read_similarity(folder / "similarity.npz")
    labels = cells.obs["perturbation"].to_numpy()

    def expected(chosen):
        centroids = np.array([matrix[labels == names[i]].mean(axis=0, dtype=float) for i in chosen])
        unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
        upper = np.triu_indices(len(chosen), 1)
        return spearmanr((unit @ unit.T)[upper], reference[np.ix_(chosen, chosen)][upper]).statistic

    row = rows.loc["spearman"]
    assert row["estimate"] == pytest.approx(expected(np.arange(9)), abs=1e-8)
    first = Draws(names, names, 3, 1, 100).halves()[7]
    assert resamples["spearman@chosen_on"][7] == pytest.approx(expected(np.flatnonzero(first)), abs=1e-6)
    assert resamples["spearman@scored_on"][7] == pytest.approx(expected(np.flatnonzero(~first)), abs=1e-6)
    assert row["ci_low"] < row["estimate"] < row["ci_high"]
    assert (row["n_items"], row["n_cells"], row["status"]) == (9, 540, "ok")
    assert len(resamples["spearman"]) == 200


def test_a_layer_that_keeps_expression_finds_the_modules_and_noise_does_not(study, tmp_path):
    folder, cells = study
    expression, _ = score(folder, logged(cells), cells, tmp_path)
    noise, _ = score(folder, np.random.default_rng(0).normal(size=(cells.n_obs, 16)), cells, tmp_path)
    assert expression.loc["auc_same_module", "estimate"] > 0.9
    assert expression.loc["spearman", "ci_low"] > noise.loc["spearman", "estimate"]
    assert abs(noise.loc["spearman", "estimate"]) < 0.4


def test_centred_and_unit_norm_versions_stand_beside_the_score(study, tmp_path):
    folder, cells = study
    matrix = logged(cells)
    rows, resamples = score(folder, matrix, cells, tmp_path)
    control = matrix[cells.obs["is_control"].to_numpy()].mean(axis=0)
    centred, _ = score(folder, matrix - control, cells, tmp_path)
    unit, _ = score(folder, matrix / np.linalg.norm(matrix, axis=1, keepdims=True), cells, tmp_path)
    assert rows.loc["spearman_centred", "estimate"] == pytest.approx(
        centred.loc["spearman", "estimate"], abs=1e-6
    )
    assert rows.loc["spearman_unit_norm", "estimate"] == pytest.approx(
        unit.loc["spearman", "estimate"], abs=1e-6
    )
    assert {name for name in resamples if "@" not in name} == set(rows.index)


def test_cells_that_the_model_refused_are_left_out(study, tmp_path):
    folder, cells = study
    matrix, targets = logged(cells), ~cells.obs["is_control"].to_numpy()
    refused = np.random.default_rng(0).random(cells.n_obs) < 0.2
    matrix[refused] = np.nan
    rows, _ = score(folder, matrix, cells, tmp_path)
    assert rows.loc["spearman", "n_cells"] == (targets & ~refused).sum()
    assert rows.loc["spearman", "status"] == "ok"
    matrix[(cells.obs["perturbation"] == "P02").to_numpy() | ~targets] = np.nan
    rows, _ = score(folder, matrix, cells, tmp_path)
    assert rows.loc["spearman", "n_items"] == 8
    assert "1 of 9" in rows.loc["spearman", "reason"]
    assert rows.loc["spearman_centred", "status"] == "undefined"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda matrix, labels: 5 + 1e-7 * matrix, "constant layer"),
        (lambda matrix, labels: np.where((labels == "P01")[:, None], 0.0, matrix), "length zero"),
        (lambda matrix, labels: np.where((labels > "P02")[:, None], np.nan, matrix), "at least 4"),
    ],
    ids=["rounding", "zero", "few"],
)
def test_where_there_is_no_score_the_row_says_why(study, tmp_path, spoil, reason):
    folder, cells = study
    labels = cells.obs["perturbation"].to_numpy(dtype=str)
    rows, resamples = score(folder, spoil(logged(cells), labels), cells, tmp_path)
    for metric in ("spearman", "spearman_unit_norm", "auc_same_module"):
        assert rows.loc[metric, "status"] == "undefined"
        assert reason in rows.loc[metric, "reason"]
        assert np.isnan(rows.loc[metric, "estimate"])
        assert metric not in resamples
