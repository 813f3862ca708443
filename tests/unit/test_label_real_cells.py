"""Labels of measured cells, where their files are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import pandas as pd
import pytest
from cell_files import write_cells

from layerscope.cells.obs import read_obs
from layerscope.tables import Score
from layerscope.tasks.jobs import ScoringJob
from layerscope.tasks.label.job import score as score_of_job
from layerscope.tasks.label.scores import PROBE_MACRO_F1, SILHOUETTE
from layerscope.tasks.label.settings import LabelSettings

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
GLIOBLASTOMA, KANG = DATA / "glioblastoma_panobinostat.h5ad", DATA / "kang_pbmc_ifnb.h5ad"
MYELOID, LINES = DATA / "paul15_counts_240.h5ad", DATA / "norman_mcfaline_devel.h5ad"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"the folder of small real data sets is not at {DATA}"
)


def score(
    folder: Path, source: Path, columns: dict[str, str], baseline: str, **chosen: Any
) -> dict[str, Score]:
    """Rows of a baseline by metric, from a file and its own names of the columns."""
    from layerscope.models.baselines import compute_baseline

    measured = anndata.read_h5ad(source)
    obs = pd.DataFrame(
        {standard: measured.obs[name].astype(str) for standard, name in columns.items()},
        index=measured.obs_names,
    )
    values = "log_normalised" if source == LINES else "counts"
    described = {"condition": "real", "dataset": "real", "task": "label", "values": values}
    var = pd.DataFrame({"symbol": measured.var_names.to_numpy()}, index=measured.var_names)
    write_cells(folder / "cells.h5ad", anndata.AnnData(measured.X, obs, var), described)
    compute_baseline(baseline, folder / "cells.h5ad", folder / "embeddings.h5ad", {}, seed=1)
    job = ScoringJob(
        protocol="strict",
        settings=LabelSettings.read({"shuffles": 5, "resamples": 200, "splits": 10, **chosen}),
        condition="real",
        model=baseline,
        layer="official",
        embeddings=folder / "embeddings.h5ad",
        obs=read_obs(folder / "cells.h5ad"),
        reference=None,
        seed=1,
    )
    return {row.metric: row for row in score_of_job(job).rows}


@pytest.mark.parametrize(("baseline", "low", "high"), [("hvg_pca", 0.6, 0.8), ("qc_only", 0.05, 0.4)])
def test_myeloid_types_are_told_apart_by_genes_not_by_quality(
    tmp_path: Path, baseline: str, low: float, high: float
) -> None:
    row = score(tmp_path, MYELOID, {"cell_type": "cell_type"}, baseline)[PROBE_MACRO_F1]
    assert "stratified by label" in row.reason
    assert row.n_cells == 2660
    assert low < row.ci_low < row.estimate < row.ci_high < high
    assert row.null_mean < 0.2


def test_lines_that_each_come_from_one_laboratory_cannot_be_tested_across_them(tmp_path: Path) -> None:
    rows = score(tmp_path, LINES, {"cell_type": "cell_type", "batch": "dataset"}, "hvg_pca")
    for metric in (PROBE_MACRO_F1, SILHOUETTE):
        assert rows[metric].status == "undefined"
        assert "batches: A172, T98G, U87MG" in rows[metric].reason


def test_a_drug_is_told_in_other_tumours_worse_than_random_folds_say(tmp_path: Path) -> None:
    columns = {"donor": "donor", "sample": "sample", "drug": "condition"}
    rows = score(tmp_path, GLIOBLASTOMA, columns, "hvg_pca", column="drug", refits=2)
    assert rows["probe_macro_f1_random_folds"].estimate == pytest.approx(0.87, abs=0.03)
    assert rows[PROBE_MACRO_F1].estimate == pytest.approx(0.74, abs=0.05)
    row = rows["auc"]
    assert row.p_value == 2 / 32
    assert row.estimate > 0.8 and row.null_mean == pytest.approx(0.5, abs=0.02)
    assert "level sample" in row.reason and "no interval: 5 donors" in row.reason


def test_a_label_of_five_donors_has_no_number(tmp_path: Path) -> None:
    rows = score(tmp_path, GLIOBLASTOMA, {"donor": "donor", "sex": "sex"}, "hvg_pca", column="sex")
    assert rows["donor_auc"].status == "undefined"
    assert "fewer than 3 donors" in rows["donor_auc"].reason


def test_types_transfer_to_stimulated_cells_worse_than_they_are_told_among_them(tmp_path: Path) -> None:
    columns = {"donor": "donor", "sample": "sample", "stim": "stim", "cell_type": "cell_type"}
    sides = {"column": "stim", "from": "ctrl", "to": "stim"}
    rows = score(tmp_path, KANG, columns, "hvg_pca", transfer=sides)
    assert rows["transfer_macro_f1"].estimate == pytest.approx(0.77, abs=0.05)
    assert rows["to_macro_f1"].estimate == pytest.approx(0.85, abs=0.03)
    assert 0 < rows["transfer_drop"].ci_low < rows["transfer_drop"].estimate
