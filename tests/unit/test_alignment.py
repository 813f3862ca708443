"""How alike layers and baselines are: the estimator against its formula, and the tables of a study."""

import json

import numpy as np
import pandas as pd
import pytest

import compare_layers as compare_script
import compare_with_baselines as baselines_script
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import NOT_AVAILABLE, write_embeddings, write_official
from layerscope.geometry.alignment import CELLS_PER_DIMENSION, Kernel, alignment
from layerscope.geometry.comparison import compare_layers, compare_with_baselines

N_CELLS = 120
CELLS = [f"c{i}" for i in range(N_CELLS)]
REFUSED = 7
SETTINGS = {"alignment_cells": 100}


@pytest.fixture
def random():
    return np.random.default_rng(0)


def debiased_cka(*representations):
    kernels = [Kernel(cells) for cells in representations]
    return alignment(kernels, kernels)


def cka_of_its_definition(*representations):
    """From the centred kernels, with the criterion as the paper writes it."""
    kernels = [z @ z.T for z in (cells - cells.mean(axis=0) for cells in representations)]
    norms = [unbiased_hsic(kernel, kernel) for kernel in kernels]
    return unbiased_hsic(*kernels) / np.sqrt(np.prod(norms))


def unbiased_hsic(k, l):  # noqa: E741
    """Song et al. 2012, equation 5, in its own words."""
    n, one = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    middle = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ l) + middle - 2 / (n - 2) * one @ k @ l @ one) / (n * (n - 3))


def test_alignment_is_the_unbiased_criterion_normalised(random):
    x, y = random.normal(size=(30, 6)), random.normal(size=(30, 4))
    y[:, 0] += x[:, 0]
    cka = debiased_cka(x, y)
    assert cka[0, 1] == pytest.approx(cka_of_its_definition(x, y))
    assert cka[1, 0] == cka[0, 1]
    np.testing.assert_allclose(np.diag(cka), 1)


@pytest.mark.parametrize("widths", [(3, 5), (3, 90), (90, 3), (90, 90)])
def test_wide_and_narrow_representations_are_aligned_by_the_same_formula(random, widths):
    shared = random.normal(size=(60, 2))
    pair = [np.hstack([3 * shared, random.normal(size=(60, width - 2))]) for width in widths]
    assert [Kernel(cells).narrow for cells in pair] == [width < 60 / CELLS_PER_DIMENSION for width in widths]
    assert debiased_cka(*pair)[0, 1] == pytest.approx(cka_of_its_definition(*pair), rel=1e-9)


def test_alignment_does_not_see_rotation_scale_or_shift(random):
    x = random.normal(size=(40, 6))
    turned = 5 * x @ np.linalg.qr(random.normal(size=(6, 6)))[0] + 3
    assert debiased_cka(x, turned)[0, 1] == pytest.approx(1)


def test_unrelated_wide_representations_have_no_alignment(random):
    values = [
        debiased_cka(random.normal(size=(50, 400)), random.normal(size=(50, 400)))[0, 1] for _ in range(20)
    ]
    assert abs(np.mean(values)) < 0.03


def test_a_constant_layer_is_aligned_with_nothing(random):
    cka = debiased_cka(np.ones((10, 3)), random.normal(size=(10, 3)))
    assert np.isnan(cka[0]).all()
    assert cka[1, 1] == pytest.approx(1)


def write_model(path, layers):
    """Layers of a model that refuses one cell."""
    path.parent.mkdir(exist_ok=True)
    stored = {
        name: np.where(np.arange(N_CELLS)[:, None] == REFUSED, np.nan, matrix).astype(np.float32)
        for name, matrix in layers.items()
    }
    write_embeddings(path, CELLS, [stored], {"n_layers": 2}, {REFUSED: "no token"})


@pytest.fixture
def study(tmp_path, random):
    """Two conditions, a model of three layers, two baselines of which the first is the model's layer 01."""
    for condition in ("blood", "Rest"):
        first = random.normal(size=(N_CELLS, 8))
        layers = {"00": np.ones((N_CELLS, 8)), "01": first, "02": np.tanh(first), "official": 2 * first}
        write_model(tmp_path / condition / "big.h5ad", layers)
        write_official(tmp_path / condition / "twin.h5ad", CELLS, first, {})
        write_official(tmp_path / condition / "wide.h5ad", CELLS, random.normal(size=(N_CELLS, 400)), {})
    return tmp_path


COMMON = ["--settings", json.dumps(SETTINGS), "--seed", "1"]


def own_table(folder, condition):
    output = folder / condition / "alignment.tsv"
    names = ["--embeddings", str(folder / condition / "big.h5ad"), "--condition", condition, "--model", "big"]
    compare_script.main([*COMMON, *names, "--output", str(output)])
    return output


def read(path):
    return pd.read_csv(path, sep="\t", dtype={"layer": str, "other_layer": str})


def aligned(folder, baselines=("twin", "wide")):
    conditions = ("blood", "Rest")
    files = {
        "tables": [own_table(folder, condition) for condition in conditions],
        "embeddings": [folder / condition / "big.h5ad" for condition in conditions],
        "baselines": [folder / condition / f"{name}.h5ad" for condition in conditions for name in baselines],
        "output": [folder / "alignment.tsv"],
    }
    words = [word for name, paths in files.items() for word in (f"--{name}", *map(str, paths))]
    baselines_script.main([*COMMON, *words])
    return read(folder / "alignment.tsv")


def test_every_layer_is_aligned_with_every_other(study):
    table = read(own_table(study, "Rest"))
    assert len(table) == 4 * 4
    assert set(table["n_cells"]) == {100}
    cka = table.set_index(["layer", "other_layer"])["cka"]
    assert cka["01", "official"] == pytest.approx(1)
    assert cka["01", "02"] == cka["02", "01"] > 0.8
    assert np.isnan(cka["00", "01"])


def test_every_layer_is_aligned_with_every_baseline_of_its_condition(study):
    table = aligned(study)
    assert len(table) == 2 * (4 * 4 + 4 * 2)
    cka = table.set_index(["condition", "layer", "other_model", "other_layer"])["cka"]
    for condition in ("blood", "Rest"):
        assert cka[condition, "01", "twin", "official"] == pytest.approx(1)
        assert cka[condition, "02", "twin", "official"] == pytest.approx(
            cka[condition, "02", "big", "01"], abs=0.02
        )
        assert abs(cka[condition, "01", "wide", "official"]) < 0.2
        assert np.isnan(cka[condition, "00", "twin", "official"])


def test_a_models_own_rows_stay_as_they_are(study):
    own = own_table(study, "blood").read_text().splitlines()
    aligned(study)
    assert (study / "alignment.tsv").read_text().splitlines()[: len(own)] == own


def test_a_baseline_that_cannot_be_had_is_left_out(study):
    missing = np.full((N_CELLS, 1), np.nan)
    write_official(study / "blood" / "wide.h5ad", CELLS, missing, {NOT_AVAILABLE: "no column cell_type"})
    assert aligned(study).groupby("condition")["other_model"].unique().map(len).to_dict() == {
        "blood": 2,
        "Rest": 3,
    }


def test_without_baselines_the_models_tables_are_joined(study):
    assert len(aligned(study, baselines=())) == 2 * 4 * 4


def test_the_value_does_not_depend_on_which_other_baselines_there_are(study):
    key = ["condition", "layer", "other_model", "other_layer"]
    both, one = (aligned(study, names).set_index(key)["cka"] for names in (("twin", "wide"), ("wide",)))
    pd.testing.assert_series_equal(both[one.index], one)


def test_representations_of_other_cells_are_refused(study, random):
    folder = study / "Rest"
    table = own_table(study, "Rest")
    write_official(folder / "odd.h5ad", [f"d{i}" for i in range(N_CELLS)], random.normal(size=(120, 5)), {})
    arguments = ([table], [folder / "big.h5ad"], [folder / "odd.h5ad"], SETTINGS, 1, study / "cka.tsv")
    with pytest.raises(DataError, match="same cells"):
        compare_with_baselines(*arguments)


def test_a_model_that_accepts_too_few_cells_has_no_table(study):
    write_official(study / "few.h5ad", CELLS[:3], np.ones((3, 2)), {})
    with pytest.raises(DataError, match="3 cells are accepted"):
        compare_layers(study / "few.h5ad", "c", "m", SETTINGS, 1, study / "few.tsv")
