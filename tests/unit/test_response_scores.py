"""Planted effects are decoded, shuffled labels are not, and nothing else changes the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import adata_of
from perturbation_cells import write

from layerscope.cells.obs import read_obs
from layerscope.extraction.embeddings_file import Layer
from layerscope.tasks.jobs import ReferenceJob, Scored, ScoringJob
from layerscope.tasks.response.job import reference, score
from layerscope.tasks.response.scores import (
    CELL_LEVEL,
    CENTROIDS,
    METRIC,
    METRICS,
    SAME_CELLS,
    SHARE,
    VARIANCE,
)
from layerscope.tasks.response.settings import ResponseSettings

Screen = tuple[anndata.AnnData, np.ndarray]
"""Cells, and a layer of them."""
QUICK = {"shuffles": 5, "cell_splits": 4, "resamples": 200, "splits": 10}
N_GENES, DIMENSIONS = 120, 4


def screen(
    n_targets: int = 24, cells: int = 44, controls: int = 120, effect: float = 1.0, seed: int = 0
) -> Screen:
    """Counts of cells whose perturbations move a hidden state, and a layer that shows the state."""
    random = np.random.default_rng(seed)
    moved = effect * random.normal(size=(n_targets, DIMENSIONS))
    owner = np.repeat(np.arange(n_targets + 1), [controls, *[cells] * n_targets])
    state = np.vstack([np.zeros(DIMENSIONS), moved])[owner] + 0.7 * random.normal(
        size=(len(owner), DIMENSIONS)
    )
    program = 0.4 * random.normal(size=(DIMENSIONS, N_GENES))
    rates = random.gamma(1.0, 3.0, N_GENES) * np.exp(state @ program)
    counts = random.poisson(rates * random.lognormal(0, 0.2, (len(owner), 1)))
    names = np.array(["non-targeting", *(f"T{number:02d}" for number in range(n_targets))])
    lane = pd.Categorical(random.permutation(np.arange(len(owner)) % 2).astype(str))
    obs = {"perturbation": pd.Categorical(names[owner]), "is_control": owner == 0, "replicate": lane}
    genes = [f"G{number}" for number in range(N_GENES)]
    given = adata_of(counts, genes, [f"cell_{number}" for number in range(len(owner))], obs, symbol=genes)
    layer = state @ random.normal(size=(DIMENSIONS, 10)) + 0.5 * random.normal(size=(len(owner), 10))
    return given, layer.astype(np.float32)


def scored(
    folder: Path, cells: anndata.AnnData, layer: np.ndarray, values: str = "counts", **settings: Any
) -> Scored:
    """Make the reference of these cells and score a layer of them."""
    checked = ResponseSettings.read(QUICK | settings)
    made = folder / "reference"
    made.mkdir(parents=True)
    path = write(folder / "cells.h5ad", cells, values)
    job = {"protocol": "strict", "settings": checked, "condition": "c", "seed": 1, "threads": 1}
    reference(ReferenceJob(**job, cells=path, baseline=None, folder=made))
    given = Layer(matrix=layer, cell_ids=cells.obs_names.tolist(), provenance={})
    return score(
        ScoringJob(**job, model="m", layer="official", embeddings=given, obs=read_obs(path), reference=made)
    )


def rows(made: Scored) -> dict[str, Any]:
    return {row.metric: row for row in made.rows}


@pytest.fixture(scope="module")
def planted() -> Screen:
    return screen()


@pytest.fixture(scope="module")
def decoded(planted: Screen, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    return scored(tmp_path_factory.mktemp("planted"), *planted)


def test_planted_effects_are_decoded_nearly_as_well_as_from_expression(decoded: Scored) -> None:
    of = rows(decoded)
    assert [row.metric for row in decoded.rows] == list(METRICS)
    assert of[METRIC].estimate > 0.3 and of[METRIC].ci_low > 0.1
    assert of[METRIC].ci_low < of[METRIC].estimate < of[METRIC].ci_high < 1
    assert of[METRIC].p_value == pytest.approx(1 / 6)
    assert of[METRIC].null_mean < 0.01
    assert of[CENTROIDS].estimate > 0.8 and abs(of[CENTROIDS].null_mean - 0.5) < 0.1
    assert 0.85 < of[SHARE].estimate < 1.15
    assert 0.2 < of[VARIANCE].estimate < 1.2
    assert of[METRIC].n_items == 24 and of[METRIC].n_cells == 24 * 40


def test_shuffled_labels_decode_nothing_though_single_cells_look_the_same(
    planted: Screen, decoded: Scored, tmp_path: Path
) -> None:
    cells, layer = planted
    cells = cells.copy()
    order = np.random.default_rng(3).permutation(cells.n_obs)
    for name in ("perturbation", "is_control"):
        cells.obs[name] = cells.obs[name].to_numpy()[order]
    of, true = rows(scored(tmp_path, cells, layer, gene_scale="none")), rows(decoded)
    assert of[METRIC].estimate < 0.02 and of[METRIC].ci_low < 0.005
    assert abs(of[CENTROIDS].estimate - 0.5) < 0.15
    assert of[SHARE].status == "undefined" and "ceiling" in of[SHARE].reason
    assert of[SAME_CELLS].estimate > 0.2
    assert of[CELL_LEVEL].estimate == pytest.approx(true[CELL_LEVEL].estimate, abs=0.05)
    assert true[CELL_LEVEL].null_mean == pytest.approx(true[CELL_LEVEL].estimate, abs=0.02)


def test_a_layer_of_noise_decodes_nothing(planted: Screen, decoded: Scored, tmp_path: Path) -> None:
    noise = np.random.default_rng(5).normal(size=planted[1].shape).astype(np.float32)
    of = rows(scored(tmp_path, planted[0], noise))
    assert of[METRIC].ci_low <= 0.005 and of[METRIC].estimate < 0.02
    assert of[METRIC].ceiling == rows(decoded)[METRIC].ceiling


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ({"n_targets": 19}, "19 targets"),
        ({"cells": 39}, "0 targets"),
        ({"controls": 30}, "30 control cells"),
    ],
)
def test_too_few_targets_or_cells_have_no_number_and_are_counted(
    tmp_path: Path, size: dict[str, int], count: str
) -> None:
    made = scored(tmp_path, *screen(**size))
    assert [row.metric for row in made.rows] == list(METRICS)
    assert {row.status for row in made.rows} == {"undefined"}
    assert all(count in row.reason and np.isnan(row.estimate) for row in made.rows)
    assert not made.resamples
