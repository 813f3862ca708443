import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr

from layerscope.errors import DataError
from layerscope.tasks.perturbation import many, scores, similarity
from layerscope.tasks.perturbation.centroids import AllCells, GroupSums
from layerscope.tasks.perturbation.influence import spearman_influence
from layerscope.tasks.perturbation.many import (
    products,
    row_ranks,
    spearman_of_many,
    unit_ranks,
    upper_triangle,
)
from layerscope.tasks.perturbation.pairs import Pairs, random_halves
from layerscope.tasks.perturbation.scores import scores_of_all_cells
from layerscope.tasks.perturbation.similarity import (
    cosine_matrix,
    profile_similarity,
    read_similarity,
    spearman_matrix,
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(many, "ROWS_AT_ONCE", 7)


def profiles(n=40, n_genes=60, seed=0):
    random = np.random.default_rng(seed)
    values = random.normal(size=(n, 4)) @ random.normal(size=(4, n_genes)) + random.normal(size=(n, n_genes))
    values[3, :20] = 0.0  # ties
    return values


def test_ranks_within_rows_are_scipys():
    values = np.round(profiles(), 1)
    np.testing.assert_array_equal(row_ranks(values), rankdata(values, axis=1))
    np.testing.assert_array_equal(row_ranks(profiles()), rankdata(profiles(), axis=1))


@pytest.mark.parametrize("threads", [1, 3])
def test_similarities_in_blocks_are_those_at_once(threads):
    values = profiles()
    ranks = unit_ranks(lambda rows: values[rows], 40, np.ones(60, dtype=bool), threads)
    found = products(ranks, threads)
    np.testing.assert_allclose(found, spearman_matrix(values), atol=1e-6)
    assert (found == found.T).all()
    assert (found == products(ranks, 2)).all()


def test_the_score_of_many_is_scipys_and_its_influence_that_of_few():
    x, y = (cosine_matrix(profiles(seed=seed) + profiles()) for seed in (1, 2))
    pairs = Pairs(40)
    halves = random_halves([f"P{i}" for i in range(40)], 0, 5)
    value, influence, (first, second) = spearman_of_many(upper_triangle(x), upper_triangle(y), 40, halves, 2)
    assert value == pytest.approx(spearmanr(pairs.of(x), pairs.of(y)).statistic, abs=1e-6)
    expected, slow = spearman_influence(pairs.of(x), pairs.of(y), pairs)
    assert value == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(influence, slow, atol=1e-5)
    kept = halves[2]
    within = spearmanr(
        x[np.ix_(kept, kept)][np.triu_indices(20, 1)], y[np.ix_(kept, kept)][np.triu_indices(20, 1)]
    )
    # ranks of all pairs, and not of the pairs within the half alone
    assert first[2] == pytest.approx(within.statistic, abs=0.03)
    assert second.shape == (5,)


def test_ties_of_pairs_share_their_ranks():
    x, y = (np.round(spearman_matrix(profiles(seed=seed)), 1) for seed in (1, 2))
    pairs = Pairs(40)
    value, _, _ = spearman_of_many(upper_triangle(x), upper_triangle(y), 40, np.ones((1, 40), dtype=bool))
    assert value == pytest.approx(spearmanr(pairs.of(x), pairs.of(y)).statistic, abs=1e-6)


def test_constant_similarities_have_no_score():
    value, influence, _ = spearman_of_many(np.ones(780), np.arange(780.0), 40, np.ones((1, 40), dtype=bool))
    assert np.isnan(value)
    assert np.isnan(influence).all()


def test_files_of_many_perturbations_go_the_way_of_few(tmp_path, monkeypatch):
    names = [f"P{i:02d}" for i in range(40)]
    stored = anndata.AnnData(X=profiles(), obs=pd.DataFrame(index=names))
    stored.write_h5ad(tmp_path / "profiles.h5ad")
    profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "few.npz")
    monkeypatch.setattr(similarity, "MANY", 10)
    profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "many.npz", threads=2)
    few, many_ = read_similarity(tmp_path / "few.npz"), read_similarity(tmp_path / "many.npz")
    assert few[0] == many_[0] == names
    assert many_[1].dtype == np.float32
    np.testing.assert_allclose(few[1], many_[1], atol=1e-6)
    stored.X[5] = 2.0
    stored.write_h5ad(tmp_path / "profiles.h5ad")
    with pytest.raises(DataError, match="P05"):
        profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "many.npz")


def test_rows_of_many_perturbations_say_what_rows_of_few_say(monkeypatch):
    names = [f"P{i:02d}" for i in range(40)]
    random = np.random.default_rng(0)
    sums = GroupSums(np.full(41, 3), random.normal(size=(41, 60)))
    reference = cosine_matrix(sums.sums[1:] + random.normal(size=(40, 60)))
    about = {
        "condition": "c",
        "model": "m",
        "layer": "official",
        "depth": np.nan,
        "task": "t",
        "protocol": "paper",
    }
    given = (AllCells(sums, sums), pd.DataFrame(), names, reference, about)
    chosen = {"seed": 1, "n_resamples": 300, "n_splits": 20}
    few, few_values = scores_of_all_cells(*given, **chosen)
    monkeypatch.setattr(scores, "MANY", 10)
    (row,), values = scores_of_all_cells(*given, **chosen)
    assert row.estimate == pytest.approx(few[0].estimate, abs=1e-6)
    assert row.ci_high - row.ci_low == pytest.approx(few[0].ci_high - few[0].ci_low, rel=0.4)
    assert np.corrcoef(values["spearman"], few_values["spearman"])[0, 1] > 0.8
    assert np.corrcoef(values["spearman@chosen_on"], few_values["spearman@chosen_on"])[0, 1] > 0.8
