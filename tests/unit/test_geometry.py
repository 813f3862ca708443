import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

import describe_geometry as describe_script
from layerscope.chance import Chance
from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.geometry.job import describe_geometry
from layerscope.geometry.measures import (
    MEASURES,
    anisotropy,
    effective_rank,
    intrinsic_dimension,
    norm_variation,
    participation_ratio,
    total_variance,
)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_effective_rank_counts_equal_directions(random):
    basis = np.linalg.qr(random.normal(size=(50, 6)))[0]
    assert effective_rank(basis) == pytest.approx(6)
    assert effective_rank(np.ones((20, 5))) == pytest.approx(1)
    values = np.linalg.svd(cells := random.normal(size=(30, 12)), compute_uv=False)
    share = values / values.sum()
    assert effective_rank(cells) == pytest.approx(np.exp(-(share * np.log(share)).sum()))


def test_participation_ratio_counts_directions_of_equal_variance(random):
    cells = 5 + random.normal(size=(20000, 7))
    assert participation_ratio(cells) == pytest.approx(7, rel=0.02)
    eigenvalues = np.linalg.eigvalsh(np.cov(cells.T))
    assert participation_ratio(cells) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def test_anisotropy_is_the_mean_cosine_of_different_cells(random):
    cells = 1 + random.normal(size=(40, 5))
    cosines = cosine_similarity(cells)
    assert anisotropy(cells) == pytest.approx(cosines[np.triu_indices(40, 1)].mean())
    assert anisotropy(np.vstack([cells, np.zeros(5)])) == pytest.approx(anisotropy(cells))


@pytest.mark.parametrize("dimension", [2, 5])
def test_intrinsic_dimension_is_that_of_the_sheet_and_not_of_the_space(random, dimension):
    cells = random.uniform(size=(2000, dimension)) @ random.normal(size=(dimension, 30))
    assert intrinsic_dimension(cells) == pytest.approx(dimension, rel=0.15)
    assert intrinsic_dimension(np.vstack([cells, cells])) == pytest.approx(intrinsic_dimension(cells))


def test_norms_and_variance(random):
    cells = random.normal(size=(500, 8))
    assert total_variance(3 * cells) == pytest.approx(9 * np.trace(np.cov(cells.T)))
    lengths = np.linalg.norm(cells, axis=1)
    assert norm_variation(7 * cells) == pytest.approx(lengths.std() / lengths.mean())


def model(path, layers, cell_ids, provenance):
    write_embeddings(path, cell_ids, [layers], provenance)
    return path


@pytest.fixture
def files(tmp_path, random):
    cells = [f"c{i}" for i in range(120)]
    first = random.normal(size=(120, 8))
    layers = {"00": np.ones((120, 8)), "01": first, "02": np.tanh(first), "official": 2 * first}
    for matrix in layers.values():
        matrix[7] = np.nan
    trained = model(tmp_path / "trained.h5ad", layers, cells, {"n_layers": 2})
    return tmp_path, trained


def test_every_layer_has_its_row_of_measures(files):
    folder, trained = files
    arguments = ["--embeddings", str(trained), "--condition", "c", "--model", "m", "--seed", "1"]
    describe_script.main([*arguments, "--settings", "{}", "--output", str(folder / "geometry.tsv")])
    table = pd.read_csv(folder / "geometry.tsv", sep="\t", dtype={"layer": str}).set_index("layer")
    assert table.index.tolist() == ["00", "01", "02", "official"]
    assert table["n_cells"].tolist() == [119] * 4
    assert set(MEASURES) <= set(table.columns)
    assert "constant layer" in table.loc["00", "reason"]
    assert np.isnan(table.loc["00", "intrinsic_dimension"])
    assert table.loc["official", "mean_norm"] == pytest.approx(2 * table.loc["01", "mean_norm"])
    assert table.loc["02", "depth"] == 1


@pytest.mark.parametrize("wrong", [{"rows": 5}, {"cells": 2}])
def test_a_wrong_setting_is_refused_by_name(files, wrong):
    folder, trained = files
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        describe_geometry(trained, "c", "m", wrong, 1, folder / "geometry.tsv")


def test_a_sample_depends_on_cells_and_not_on_their_order():
    names = [f"c{i}" for i in range(100)]
    chosen = {names[i] for i in Chance(3, names).sample(10)}
    assert chosen == {names[::-1][i] for i in Chance(3, names[::-1]).sample(10)}
    assert chosen != {names[i] for i in Chance(4, names).sample(10)}


def test_streams_of_chance_are_uniform_and_unrelated():
    chance = Chance(0, [f"c{i}" for i in range(5000)])
    one, other = (chance.keys(stream) / 2.0**64 for stream in (1, -1))
    for values in (one, other):
        assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
