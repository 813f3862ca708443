"""Simulated screens whose truth is known: knock-downs act where their programs are active."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from test_response_scores import rows, scored

from layerscope.demo.simulation import simulate
from layerscope.tasks.response.scores import CELL_LEVEL, METRIC, SHARE


@pytest.fixture(scope="module")
def screens() -> anndata.AnnData:
    return simulate("perturbation", {}, 1)


def components(counts: np.ndarray) -> np.ndarray:
    """50 principal components of log expression."""
    expression = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    left, lengths, _ = np.linalg.svd(expression - expression.mean(axis=0), full_matrices=False)
    return (left * lengths)[:, :50].astype(np.float32)


@pytest.mark.parametrize(("state", "acts"), [("Rest", False), ("Stim48hr", True)])
def test_effects_are_decoded_where_knock_downs_have_any(
    screens: anndata.AnnData, tmp_path: Path, state: str, acts: bool
) -> None:
    cells = screens[screens.obs["activation"] == state]
    named = {"perturbation": "perturbation", "guide": "guide", "replicate": "lane", "batch": "batch"}
    obs = pd.DataFrame(
        {name: pd.Categorical(cells.obs[column].astype(str)) for name, column in named.items()},
        index=cells.obs_names,
    ).assign(is_control=cells.obs["is_control"].to_numpy(dtype=bool))
    counts = cells.X.toarray()
    given = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs, cells.var[["symbol"]])
    of = rows(scored(tmp_path, given, components(counts), cell_splits=20))
    assert (of[METRIC].ci_low > 0) == acts
    assert (of[SHARE].status == "ok") == acts
    assert of[METRIC].estimate < of[METRIC].ceiling + 0.01
    assert (of[METRIC].estimate > 0.03) == acts
    # the number of single cells is as high where nothing acts, and with shuffled labels
    assert of[CELL_LEVEL].estimate > 0.4
    assert of[CELL_LEVEL].null_mean == pytest.approx(of[CELL_LEVEL].estimate, abs=0.01)
