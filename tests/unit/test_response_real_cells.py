"""Effects of perturbations in measured K562 cells, where their file is at hand."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from test_response_scores import Screen, rows, scored

from layerscope.tasks.response.scores import CELL_LEVEL, CENTROIDS, METRIC, SAME_CELLS, SHARE

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SCREEN = DATA / "norman_mcfaline_counts.h5ad"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the folder of small real data sets is not at {DATA}"
)
SETTINGS = {"cells_per_perturbation": 80, "cell_splits": 20, "shuffles": 10}


@pytest.fixture(scope="module")
def measured() -> Screen:
    """Log expression of 500 genes in K562 cells, by the totals of all genes, and its 50 components."""
    cells = anndata.read_h5ad(SCREEN)
    cells = cells[cells.obs["cell_type"] == "k562"]
    totals = cells.obs["total_counts_all_genes"].to_numpy()
    expression = np.log1p(1e4 * cells.X.toarray() / totals[:, None])
    left, lengths, _ = np.linalg.svd(expression - expression.mean(axis=0), full_matrices=False)
    label = cells.obs["perturbation"].astype(str).to_numpy()
    obs = pd.DataFrame(
        {"perturbation": pd.Categorical(label), "is_control": label == "control"}, index=cells.obs_names
    )
    var = pd.DataFrame({"symbol": cells.var_names.to_numpy()}, index=cells.var_names)
    given = anndata.AnnData(sparse.csr_matrix(expression.astype(np.float32)), obs, var)
    return given, (left * lengths)[:, :50].astype(np.float32)


def test_true_effects_are_told_from_shuffled_ones_by_other_cells_alone(
    measured: Screen, tmp_path: Path
) -> None:
    of = rows(scored(tmp_path, *measured, values="log_normalised", gene_scale="none", **SETTINGS))
    assert of[METRIC].estimate == pytest.approx(0.71, abs=0.05)
    assert of[METRIC].null_mean == pytest.approx(-0.01, abs=0.02)
    assert of[METRIC].ci_low > 0 and of[METRIC].n_items == 24
    assert of[CENTROIDS].estimate == pytest.approx(0.88, abs=0.05)
    assert of[SHARE].estimate == pytest.approx(1, abs=0.05)
    # the same cells on both sides: shuffled labels look nearly as good
    assert of[SAME_CELLS].estimate == pytest.approx(0.87, abs=0.05)
    assert of[SAME_CELLS].null_mean == pytest.approx(0.68, abs=0.06)
    # single cells: they look the same
    assert of[CELL_LEVEL].estimate == pytest.approx(0.972, abs=0.015)
    assert of[CELL_LEVEL].null_mean == pytest.approx(of[CELL_LEVEL].estimate, abs=0.005)


def test_shuffled_labels_of_measured_cells_decode_nothing(measured: Screen, tmp_path: Path) -> None:
    cells, layer = measured
    cells = cells.copy()
    order = np.random.default_rng(5).permutation(cells.n_obs)
    for name in ("perturbation", "is_control"):
        cells.obs[name] = cells.obs[name].to_numpy()[order]
    of = rows(scored(tmp_path, cells, layer, values="log_normalised", gene_scale="none", **SETTINGS))
    assert of[METRIC].estimate < 0.03 and of[METRIC].ci_low < 0
    assert of[SAME_CELLS].estimate > 0.5 and of[CELL_LEVEL].estimate > 0.95
