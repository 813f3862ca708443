"""The perturbation task on a real interferon screen, where its file is at hand."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import write

from layerscope.tables import read_scores
from layerscope.tasks.jobs import make_reference, score_layer

SCREEN = Path(__file__).parents[2] / ".." / "shared" / "data" / "papalexi_lowmoi_counts.h5ad"
pytestmark = pytest.mark.skipif(not SCREEN.is_file(), reason="the file of the interferon screen is not here")
SETTINGS = {"cells_per_perturbation": 240, "resamples": 100}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Strict scores of the principal components of the screen's cells."""
    from layerscope.models.baselines import compute_baseline

    folder = tmp_path_factory.mktemp("screen")
    screen = anndata.read_h5ad(SCREEN)
    obs = pd.DataFrame(
        {
            "perturbation": screen.obs["target"].astype(str),
            "guide": screen.obs["guide_id"].astype(str),
            "replicate": screen.obs["replicate"].astype(str),
            "is_control": (screen.obs["target"] == "non-targeting").to_numpy(),
        },
        index=screen.obs_names,
    )
    write(folder / "cells.h5ad", anndata.AnnData(screen.X, obs, pd.DataFrame(index=screen.var_names)))
    compute_baseline("hvg_pca", folder / "cells.h5ad", folder / "hvg_pca.h5ad", {}, seed=1)
    common = {
        "task": "perturbation",
        "protocol": "strict",
        "condition": "screen",
        "cells": folder / "cells.h5ad",
        "settings": SETTINGS,
        "seed": 1,
    }
    make_reference(output=folder / "reference", **common)
    score_layer(
        embeddings=folder / "hvg_pca.h5ad",
        layer="official",
        model="hvg_pca",
        reference=[folder / "reference"],
        output=folder / "scores.tsv",
        resamples=folder / "scores.npz",
        **common,
    )
    return read_scores(folder / "scores.tsv").set_index("metric")


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
