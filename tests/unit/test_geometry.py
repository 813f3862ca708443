import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

import compare_layers as compare_script
import describe_geometry as describe_script
from layerscope.chance import Chance
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import EmbeddingsWriter, write_official
from layerscope.geometry.alignment import debiased_cka
from layerscope.geometry.job import compare_layers, describe_geometry
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


def unbiased_hsic(k, l):  # noqa: E741
    """Song et al. 2012, equation 5, in its own words."""
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    middle = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ l) + middle - 2 / (n - 2) * one @ k @ l @ one) / (n * (n - 3))


def test_alignment_is_the_unbiased_criterion_normalised(random):
    x, y = random.normal(size=(30, 6)), random.normal(size=(30, 4))
    y[:, 0] += x[:, 0]
    kernels = [z @ z.T for z in (x - x.mean(axis=0), y - y.mean(axis=0))]
    expected = unbiased_hsic(*kernels) / np.sqrt(
        unbiased_hsic(kernels[0], kernels[0]) * unbiased_hsic(kernels[1], kernels[1])
    )
    found = debiased_cka([x, y])
    assert found[0, 1] == pytest.approx(expected)
    assert found[1, 0] == found[0, 1]
    np.testing.assert_allclose(np.diag(found), 1)


def test_alignment_does_not_see_rotation_scale_or_shift(random):
    x = random.normal(size=(40, 6))
    turned = 5 * x @ np.linalg.qr(random.normal(size=(6, 6)))[0] + 3
    assert debiased_cka([x], [turned])[0, 0] == pytest.approx(1)


def test_unrelated_wide_representations_have_no_alignment(random):
    values = [
        debiased_cka([random.normal(size=(50, 400))], [random.normal(size=(50, 400))])[0, 0]
        for _ in range(20)
    ]
    assert abs(np.mean(values)) < 0.03


def test_a_constant_layer_is_aligned_with_nothing(random):
    found = debiased_cka([np.ones((10, 3)), random.normal(size=(10, 3))])
    assert np.isnan(found[0]).all()
    assert found[1, 1] == pytest.approx(1)


def model(path, layers, cell_ids, provenance):
    with EmbeddingsWriter(path, cell_ids) as writer:
        for name, matrix in layers.items():
            writer.add(name, matrix.shape[1])
            writer.fill(name, 0, matrix)
        writer.finish([""] * len(cell_ids), provenance)
    return path


@pytest.fixture
def files(tmp_path, random):
    cells = [f"c{i}" for i in range(120)]
    first = random.normal(size=(120, 8))
    layers = {"00": np.ones((120, 8)), "01": first, "02": np.tanh(first), "official": 2 * first}
    for matrix in layers.values():
        matrix[7] = np.nan
    trained = model(tmp_path / "trained.h5ad", layers, cells, {"n_layers": 2})
    baseline = tmp_path / "baseline.h5ad"
    write_official(baseline, cells, random.normal(size=(120, 5)), {"n_layers": 0})
    return tmp_path, trained, baseline


def test_every_layer_has_its_row_of_measures(files):
    folder, trained, _ = files
    arguments = ["--embeddings", str(trained), "--condition", "c", "--model", "m", "--seed", "1"]
    describe_script.main([*arguments, "--output", str(folder / "geometry.tsv")])
    table = pd.read_csv(folder / "geometry.tsv", sep="\t", dtype={"layer": str}).set_index("layer")
    assert table.index.tolist() == ["00", "01", "02", "official"]
    assert table["n_cells"].tolist() == [119] * 4
    assert set(MEASURES) <= set(table.columns)
    assert "constant layer" in table.loc["00", "reason"]
    assert np.isnan(table.loc["00", "intrinsic_dimension"])
    assert table.loc["official", "mean_norm"] == pytest.approx(2 * table.loc["01", "mean_norm"])
    assert table.loc["02", "depth"] == 1


def test_every_layer_is_aligned_with_every_other_and_with_baselines(files):
    folder, trained, baseline = files
    arguments = ["--embeddings", str(trained), "--others", str(baseline), "--condition", "c", "--model", "m"]
    compare_script.main([*arguments, "--seed", "1", "--output", str(folder / "cka.tsv")])
    table = pd.read_csv(folder / "cka.tsv", sep="\t", dtype={"layer": str, "other_layer": str})
    assert len(table) == 4 * 4 + 4
    found = table.set_index(["layer", "other_model", "other_layer"])["cka"]
    assert found["01", "m", "official"] == pytest.approx(1)
    assert found["01", "m", "02"] == found["02", "m", "01"] > 0.8
    assert abs(found["01", "baseline", "official"]) < 0.2


def test_representations_of_other_cells_are_refused(files, random):
    folder, trained, _ = files
    other = folder / "other.h5ad"
    write_official(other, [f"d{i}" for i in range(120)], random.normal(size=(120, 5)), {})
    with pytest.raises(DataError, match="same cells"):
        compare_layers(trained, [other], "c", "m", {}, 1, folder / "cka.tsv")


def test_settings_that_mean_nothing_are_refused(files):
    folder, trained, _ = files
    with pytest.raises(ConfigError, match="alignment_cells"):
        describe_geometry(trained, "c", "m", {"rows": 5}, 1, folder / "geometry.tsv")
    with pytest.raises(ConfigError, match="at least 4"):
        describe_geometry(trained, "c", "m", {"cells": 2}, 1, folder / "geometry.tsv")


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
