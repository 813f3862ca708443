"""The perturbation task on a real interferon screen, where its file is at hand."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import score_matrix, write

from layerscope.extraction.embeddings_file import read_layer
from layerscope.models.baselines import compute_baseline
from layerscope.tasks.jobs import make_reference

SCREEN = Path(__file__).parents[2] / ".." / "shared" / "data" / "papalexi_lowmoi_counts.h5ad"
pytestmark = pytest.mark.skipif(not SCREEN.is_file(), reason="the file of the interferon screen is not here")
SETTINGS = {"cells_per_perturbation": 240, "resamples": 100}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Strict scores of the principal components of the screen's cells."""
    folder = tmp_path_factory.mktemp("screen")
    screen = anndata.read_h5ad(SCREEN)
    named = {"target": "perturbation", "guide_id": "guide", "replicate": "replicate"}
    obs = screen.obs[list(named)].astype(str).rename(columns=named)
    obs["is_control"] = obs["perturbation"] == "non-targeting"
    given = anndata.AnnData(screen.X, obs, pd.DataFrame(index=screen.var_names))
    cells = write(folder / "cells.h5ad", given)
    compute_baseline("hvg_pca", cells, folder / "hvg_pca.h5ad", {}, seed=1)
    job = {
        "task": "perturbation",
        "protocol": "strict",
        "condition": "screen",
        "settings": SETTINGS,
        "seed": 1,
    }
    make_reference(cells=cells, output=folder / "reference", **job)
    matrix = read_layer(folder / "hvg_pca.h5ad", "official").matrix
    return score_matrix(folder, matrix, given, "strict", SETTINGS, [folder / "reference"])[0]


def test_cells_shared_by_layer_and_reference_look_like_agreement(rows):
    leak = rows.loc["spearman_same_cells_shuffled_labels"]
    assert leak["ci_low"] > 0.1
    assert rows.loc["spearman_same_cells", "estimate"] > leak["estimate"]


def test_disjoint_cells_with_shuffled_labels_score_nothing(rows):
    null = rows.loc["spearman_shuffled_labels"]
    assert abs(null["estimate"]) < 0.04
    assert null["ci_low"] < 0.02
    assert rows.loc["spearman", "estimate"] > 4 * abs(null["estimate"])
    assert np.isfinite(rows.loc["spearman", "ceiling"])
