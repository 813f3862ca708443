import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from layerscope.errors import DataError
from layerscope.tables import Subject
from layerscope.tasks.perturbation import genome_scale, scores, similarity
from layerscope.tasks.perturbation.genome_scale import spearman_of_many, upper_triangle
from layerscope.tasks.perturbation.pairs import Draws, Pairs
from layerscope.tasks.perturbation.scores import scores_of_all_cells
from layerscope.tasks.perturbation.settings import PaperSettings
from layerscope.tasks.perturbation.similarity import (
    Similarity,
    cosine_matrix,
    profile_similarity,
    read_similarity,
    spearman_matrix,
)
from layerscope.tasks.screens.sums import LayerSums

NAMES = [f"P{i:02d}" for i in range(40)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(genome_scale, "ROWS_AT_ONCE", 7)


def profiles(seed=0, n_genes=60):
    random = np.random.default_rng(seed)
    values = random.normal(size=(40, 4)) @ random.normal(size=(4, n_genes))
    values += random.normal(size=values.shape)
    values[3, :20] = 0.0  # ties
    return values


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_score_of_many_is_scipys_and_halves_are_scored_by_ranks_among_all(decimals):
    x, y = (np.round(spearman_matrix(profiles(seed) + profiles()), decimals) for seed in (1, 2))
    halves = Draws(NAMES, NAMES, 0, 1, 5).halves()
    score, chosen_on, scored_on = spearman_of_many(upper_triangle(x), upper_triangle(y), halves)
    pairs = Pairs(40)
    assert score.value == pytest.approx(spearmanr(pairs.of(x), pairs.of(y)).statistic, abs=1e-6)
    ranks = pd.DataFrame({"x": pairs.of(x), "y": pairs.of(y)}).rank()
    for within, half in ((chosen_on, halves), (scored_on, ~halves)):
        inside = half[2][pairs.first] & half[2][pairs.second]
        assert within[2] == pytest.approx(ranks[inside].corr().loc["x", "y"], abs=1e-6)


def test_constant_similarities_have_no_score():
    score, chosen_on, _ = spearman_of_many(np.ones(780), np.arange(780.0), np.ones((1, 40), dtype=bool))
    assert np.isnan([score.value, *score.influence, *chosen_on]).all()


def test_files_of_many_perturbations_go_the_way_of_few(tmp_path, monkeypatch):
    cells = anndata.AnnData(X=profiles(), obs=pd.DataFrame(index=NAMES))
    cells.write_h5ad(tmp_path / "profiles.h5ad")
    profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "few.npz")
    monkeypatch.setattr(similarity, "GENOME_SCALE", 10)
    profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "many.npz")
    few, many = read_similarity(tmp_path / "few.npz"), read_similarity(tmp_path / "many.npz")
    assert few.names == many.names == NAMES
    assert many.matrix.dtype == np.float32
    np.testing.assert_allclose(few.matrix, many.matrix, atol=1e-6)
    cells.X[5] = 2.0
    cells.write_h5ad(tmp_path / "profiles.h5ad")
    with pytest.raises(DataError, match="P05"):
        profile_similarity(tmp_path / "profiles.h5ad", tmp_path / "many.npz")


def test_rows_of_many_perturbations_say_what_rows_of_few_say(monkeypatch):
    random = np.random.default_rng(0)
    sums = LayerSums(np.full((1, 41), 3), random.normal(size=(1, 41, 60)))
    reference = Similarity(NAMES, cosine_matrix(sums.sums[0, 1:] + random.normal(size=(40, 60))))
    subject = Subject(
        condition="c", model="m", layer="official", depth=np.nan, task="t", protocol="paper", seed=1
    )
    arguments = (sums, sums, pd.DataFrame(), reference, subject, PaperSettings(resamples=300))
    few = scores_of_all_cells(*arguments)
    monkeypatch.setattr(scores, "GENOME_SCALE", 10)
    many = scores_of_all_cells(*arguments)
    (row,), expected = many.rows, few.rows[0]
    assert row.estimate == pytest.approx(expected.estimate, abs=1e-6)
    assert row.ci_high - row.ci_low == pytest.approx(expected.ci_high - expected.ci_low, rel=0.4)
    for name in ("spearman", "spearman@chosen_on"):
        assert np.corrcoef(many.resamples[name], few.resamples[name])[0, 1] > 0.8
