"""What a file holds is said in plain words, with a start for the configuration that works."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import yaml

import check_cells
from layerscope.cells.check import check
from layerscope.cells.obs import read_provenance
from layerscope.cells.prepare import prepare
from layerscope.errors import DataError
from layerscope.models.catalogue import FAMILIES
from layouts import write_cd4_perturbseq, write_gse276896

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_scaled_and_logged_matrices_are_told_and_recovery_proposed(tmp_path: Path) -> None:
    write_gse276896(tmp_path / "blood.h5ad")
    said = check(tmp_path / "blood.h5ad", FAMILIES)
    assert "blood.h5ad: 120 cells x 150 genes" in said
    assert "X: scaled values (z-scores per gene)" in said
    assert "raw/X: natural log-normalised values" in said
    assert "recover_counts: {total: total_counts, per: 10000, logged: true}" in said
    assert "species by their names: human" in said
    assert next(line for line in said.splitlines() if "Timepoint" in line).endswith("[time?]")
    assert "hellinger_svd: no: it needs raw counts" in said
    assert "tahoe_x1: no: it needs Ensembl ids" in said


def test_perturbations_and_their_control_are_found(tmp_path: Path) -> None:
    write_cd4_perturbseq(tmp_path / "D1_Rest.assigned_guide.h5ad")
    said = check(tmp_path / "D1_Rest.assigned_guide.h5ad", FAMILIES)
    assert "perturbed_gene_name" in said
    assert "tahoe_x1: yes" in said
    assert "symbols and Ensembl ids" in said


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["annotation", "donor_id", "sample"], "cell_type: possible (annotation, tested across donor_id)"),
        (["annotation", "sample"], "cell_type: possible (annotation, tested across sample)"),
        (["annotation"], "cell_type: possible (annotation, no donor or batch to test across)"),
        (["sample"], "cell_type: needs a column of cell types; none looks like one"),
    ],
)
def test_cell_types_and_what_they_are_tested_across_are_found(
    tmp_path: Path, columns: list[str], words: str
) -> None:
    cells = anndata.AnnData(np.random.default_rng(0).poisson(1.0, (60, 40)).astype(np.float32))
    for column in columns:
        cells.obs[column] = [f"{column} {k}" for k in np.arange(60) % 3]
    cells.write_h5ad(tmp_path / "a.h5ad")
    assert words in check(tmp_path / "a.h5ad", FAMILIES)


def test_a_file_that_nothing_can_use_is_said_to_be_so(tmp_path: Path) -> None:
    scaled = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    anndata.AnnData(scaled).write_h5ad(tmp_path / "a.h5ad")
    said = check(tmp_path / "a.h5ad", FAMILIES)
    assert "none: no matrix holds counts" in said
    with pytest.raises(DataError, match="no such file"):
        check(tmp_path / "b.h5ad", FAMILIES)


@pytest.mark.parametrize(
    ("name", "n_cells", "species"),
    [
        ("papalexi_lowmoi_counts", 16_093, "human"),
        ("paul15_counts_240", 2_660, "mouse"),
        ("larry_mouse_781", 781, "mouse"),
        ("norman_mcfaline_devel", 5_961, "human"),
    ],
)
def test_the_proposed_entry_prepares_real_files(
    tmp_path: Path, name: str, n_cells: int, species: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = SHARED / f"{name}.h5ad"
    if not source.is_file():
        pytest.skip(f"{source.name} is not beside the repository")
    check_cells.main([str(source)])
    entry = yaml.safe_load(capsys.readouterr().out.split("config/datasets.yaml\n")[1])["my_cells"]
    prepare([source], entry, "mine", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")
    about = read_provenance(tmp_path / "cells.h5ad")
    assert (about["n_cells"], about["organism"]) == (n_cells, species)
