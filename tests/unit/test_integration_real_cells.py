"""Integration of measured cells, where their file is at hand: three chemistries that nothing has mixed."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import write_cells

from layerscope.cells.obs import read_obs
from layerscope.models.catalogue import FAMILIES
from layerscope.tables import Score
from layerscope.tasks.integration.job import score as score_of_job
from layerscope.tasks.integration.settings import IntegrationSettings
from layerscope.tasks.jobs import ScoringJob

CELLS = Path(__file__).parents[2] / ".." / "shared" / "data" / "pbmc_three_chemistries.h5ad"
pytestmark = pytest.mark.skipif(not CELLS.is_file(), reason=f"the measured cells are not at {CELLS}")


def measured_labels() -> pd.DataFrame:
    """Types and chemistries of the measured cells."""
    obs = anndata.read_h5ad(CELLS, backed="r").obs[["cell_type", "technology"]]
    return obs.rename(columns={"technology": "batch"}).astype(str)


def rows_of(folder: Path, baseline: str, labels: pd.DataFrame | None = None) -> dict[str, Score]:
    """Rows of a baseline by metric; ``labels`` in place of the measured ones."""
    from layerscope.models.baselines import compute_baseline

    measured = anndata.read_h5ad(CELLS)
    var = pd.DataFrame({"symbol": measured.var_names.to_numpy()}, index=measured.var_names)
    described = {"condition": "real", "dataset": "real", "task": "integration", "values": "counts"}
    write_cells(folder / "cells.h5ad", anndata.AnnData(measured.X, measured_labels(), var), described)
    components = {} if baseline == "qc_only" else {"n_components": 20}
    compute_baseline(baseline, folder / "cells.h5ad", folder / f"{baseline}.h5ad", components, seed=1)
    obs = read_obs(folder / "cells.h5ad")
    job = ScoringJob(
        protocol="strict",
        settings=IntegrationSettings.read({"resamples": 500}),
        condition="real",
        model=baseline,
        layer="official",
        embeddings=folder / f"{baseline}.h5ad",
        obs=obs if labels is None else labels.loc[obs.index],
        reference=None,
        seed=1,
    )
    return {row.metric: row for row in score_of_job(job).rows}


def test_three_chemistries_lie_apart_whatever_the_silhouettes_say(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "hvg_pca")
    assert rows["batch_probe_accuracy"].estimate == pytest.approx(0.998, abs=0.01)
    assert rows["ilisi"].estimate < 0.1  # 0.02 in a PCA of unscaled genes
    assert rows["silhouette_batch"].estimate == pytest.approx(0.74, abs=0.05)
    assert rows["bras"].estimate == pytest.approx(0.54, abs=0.06)
    assert rows["kbet_per_label"].estimate < 0.25
    assert rows["mixing"].ci_high < 0.25
    # and yet types are told apart in a chemistry that was held out nearly as well as in any
    assert rows["biology"].estimate == pytest.approx(0.93, abs=0.04)
    assert rows["biology_random_folds"].estimate == pytest.approx(0.95, abs=0.03)
    assert rows["biology"].null_mean < 0.2
    assert "these batches" in rows["biology"].reason


def test_chemistries_dealt_anew_within_types_are_mixed(tmp_path: Path) -> None:
    labels, random = measured_labels(), np.random.default_rng(0)
    dealt = labels.groupby("cell_type")["batch"].transform(lambda of: random.permutation(of))
    rows = rows_of(tmp_path, "hvg_pca", labels.assign(batch=dealt))
    assert rows["mixing"].estimate == pytest.approx(1, abs=0.05)
    assert rows["mixing"].ci_low < 1 < rows["mixing"].ci_high


def test_types_dealt_anew_within_chemistries_are_not_told_apart(tmp_path: Path) -> None:
    labels, random = measured_labels(), np.random.default_rng(0)
    dealt = labels.groupby("batch")["cell_type"].transform(lambda of: random.permutation(of))
    row = rows_of(tmp_path, "hvg_pca", labels.assign(cell_type=dealt))["biology"]
    assert row.ci_low < row.null_mean < row.ci_high
    assert row.p_value > 0.05


def test_quality_mixes_better_and_tells_no_types(tmp_path: Path) -> None:
    genes, quality = rows_of(tmp_path, "hvg_pca"), rows_of(tmp_path, "qc_only")
    assert quality["mixing"].ci_low > genes["mixing"].ci_high
    assert quality["biology"].ci_high < genes["biology"].ci_low - 0.3


def test_one_chemistry_for_each_type_is_confounded(tmp_path: Path) -> None:
    labels = measured_labels()
    own = dict(zip(sorted(set(labels["cell_type"])), ["3pv1", "3pv2", "5p"] * 3, strict=True))
    rows = rows_of(tmp_path, "hvg_pca", labels.assign(batch=labels["cell_type"].map(own)))
    assert {row.status for row in rows.values()} == {"undefined"}
    assert "Cramer's V 1.00" in rows["mixing"].reason


@pytest.mark.skipif(bool(FAMILIES["harmony_pca"].lacking), reason=FAMILIES["harmony_pca"].lacking)
def test_harmony_mixes_at_no_loss(tmp_path: Path) -> None:
    before, after = rows_of(tmp_path, "hvg_pca"), rows_of(tmp_path, "harmony_pca")
    assert after["mixing"].ci_low > before["mixing"].ci_high + 0.3
    assert after["biology"].ci_high > before["biology"].estimate
    assert after["ilisi"].estimate > 0.5  # 0.57 of that PCA
    assert after["bras"].estimate == pytest.approx(0.77, abs=0.06)
    assert after["silhouette_batch"].estimate == pytest.approx(0.84, abs=0.05)
