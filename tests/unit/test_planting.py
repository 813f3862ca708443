"""Planted layers: what is best in them is known, and the choice of a layer finds it, or finds nothing."""

import numpy as np
import pandas as pd
import pytest
from cell_files import write_canonical
from trajectory_cells import subject

import plant_layers
from layerscope.demo.planting import planted_layers, signal
from layerscope.demo.program import ACTIVITIES
from layerscope.demo.simulation import simulate
from layerscope.doors.models import entries
from layerscope.doors.studies import study_of
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import read_layer, read_layers, read_provenance
from layerscope.models.entries import PlantedModel
from layerscope.statistics.evidence import Model
from layerscope.statistics.layer_choice import choose_layers
from layerscope.study import jobs
from layerscope.tables import depth
from layerscope.tasks.trajectory.paper import score_paper
from layerscope.tasks.trajectory.references import Reference
from layerscope.tasks.trajectory.settings import TrajectorySettings

LAYERS, PEAK = 4, 2
MODELS = {"planted": PEAK, "planted_alike": None}


@pytest.fixture(scope="module")
def cells():
    sizes = {"cells": 500, "damaged_share": 0.0, "empty_share": 0.0}
    return simulate("differentiation", sizes, seed=1)


@pytest.fixture(scope="module")
def screen():
    return simulate("perturbation", {"cells_per_state": 100, "empty_share": 0.0}, seed=1)


def planted(cells, peak, seed=1, rows=slice(None)):
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    return planted_layers(cells.obs.iloc[rows], totals[rows], signal(LAYERS, peak), seed)


@pytest.mark.parametrize(("peak", "shares"), [(2, [0.25, 1, 0.25, 0.0625]), (None, [1, 1, 1, 1])])
def test_layers_have_their_share_of_the_activities(cells, peak, shares):
    truth = cells.obs[list(ACTIVITIES)].to_numpy()
    centred = truth - truth.mean(axis=0)
    layers = planted(cells, peak)[:, :, : len(ACTIVITIES)]
    slopes = (centred * (layers - layers.mean(axis=1, keepdims=True))).sum(axis=(1, 2)) / (centred**2).sum()
    assert slopes == pytest.approx(shares, abs=0.03)


def test_layers_far_from_the_peak_show_what_a_knock_down_does_beside_its_pathways(screen):
    spread = planted(screen, PEAK)[:, :, len(ACTIVITIES) :].std(axis=1).mean(axis=1)
    assert spread[1] < spread[0] < spread[3]


@pytest.mark.parametrize("draw", ["cells", "screen"])
def test_a_cell_is_the_same_alone_and_in_any_company(draw, request):
    drawn = request.getfixturevalue(draw)
    together = planted(drawn, PEAK)
    rows = np.random.default_rng(0).permutation(drawn.n_obs)[:50]
    np.testing.assert_array_equal(planted(drawn, PEAK, rows=rows), together[:, rows])
    assert not np.allclose(planted(drawn, PEAK, seed=2), together)


def test_noise_of_layers_that_are_alike_is_independent(cells):
    first, second, *_ = planted(cells, None)[:, :, :10] - cells.obs[list(ACTIVITIES[:10])].to_numpy()
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_only_cells_that_tell_their_truth_can_be_planted_in(cells):
    with pytest.raises(DataError, match="true_activity_stemness"):
        planted_layers(cells.obs[["batch"]], np.ones(cells.n_obs), signal(LAYERS, PEAK), 1)


def test_the_command_writes_the_same_bytes_again(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    write_canonical(path, cells[:60].copy(), task="trajectory")
    for name in "ab":
        words = ["--model", "planted", "--cells", str(path), "--layers", "4", "--peak", "2", "--seed", "1"]
        plant_layers.main([*words, "--output", str(tmp_path / f"{name}.h5ad")])
    first, again = tmp_path / "a.h5ad", tmp_path / "b.h5ad"
    assert first.read_bytes() == again.read_bytes()
    assert read_layers(first) == ["01", "02", "03", "04"]
    assert read_layer(first, "02").cell_ids == list(cells.obs_names[:60])
    assert read_provenance(first)["trained_on"] == PlantedModel.trained_on


def chosen(cells, shuffled=False):
    """The choice of a layer of both models, by agreement with the true pseudotime."""
    truth = cells.obs["true_pseudotime"].to_numpy()
    root = int(np.argmin(truth))
    target = np.random.default_rng(1).permutation(truth) if shuffled else truth
    reference = Reference(list(cells.obs_names), target, root, "simulated", "simulated")
    settings = TrajectorySettings(resamples=200, splits=0)
    rows, resamples = [], {}
    for model, peak in MODELS.items():
        for number, matrix in enumerate(planted(cells, peak, seed=1 + (peak is None)), start=1):
            layer = f"{number:02d}"
            about = subject("paper", model=model, layer=layer, depth=depth(layer, LAYERS), seed=1)
            scored = score_paper(matrix, reference, about, settings)
            rows += [row.__dict__ for row in scored.rows]
            resamples["trajectory", "blood", "paper", model, layer] = scored.resamples
    models = {name: Model(name, "foundation", LAYERS) for name in MODELS}
    return choose_layers(pd.DataFrame(rows), resamples, models).layers.set_index("model")


def test_the_peak_is_recommended_and_of_layers_that_are_alike_none(cells):
    layers = chosen(cells)
    assert layers.loc["planted", "best_layer"] == f"{PEAK:02d}"
    assert layers.loc["planted", "gain_ci_low"] > 0.3
    assert layers.loc["planted", "gain_p_family"] < 0.05
    alike = layers.loc["planted_alike"]
    assert alike["best_estimate"] > 0.85
    assert not alike["gain_p_family"] < 0.05


def test_nothing_is_recommended_where_the_truth_has_been_shuffled(cells):
    layers = chosen(cells, shuffled=True)
    assert (layers["best_estimate"].abs() < 0.15).all()
    assert not (layers["gain_p_family"] < 0.05).any()


def study(**model):
    entry = {"family": "planted", "layers": 4, "seed": 1} | model
    studied = {"title": "t", "conditions": ["simulated_Rest", "D1_Rest"], "models": ["mine"]}
    return study_of({"study": studied, "models": {"mine": entry}})


def test_real_cells_have_no_truth_to_plant():
    planted = study(peak=2)
    assert planted.layers("mine") == ["01", "02", "03", "04"]
    assert jobs.planting(planted, "mine") == ["--layers", "4", "--peak", "2", "--seed", "1"]
    assert planted.runs() == [("simulated_Rest", "mine")]
    (lacking,) = planted.unavailable()
    assert lacking["condition"] == "D1_Rest" and "truth" in lacking["reason"]


@pytest.mark.parametrize(
    ("model", "words"),
    [({"peak": 5}, "'peak' is 5; expected 1 to 4"), ({"weights": {}}, "unknown key 'weights'")],
)
def test_settings_that_mean_nothing_are_refused(model, words):
    with pytest.raises(ConfigError, match=f"models: mine: .*{words}"):
        study(**model)


def test_planted_layers_are_no_model_that_a_call_can_name():
    assert not {"planted", "planted_alike"} & set(entries())
