"""What a file holds is said in plain words, with a start for the configuration that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import yaml
from cell_files import write_h5ad
from scipy import sparse
from tenx_examples import write_genomes, write_h5, write_triplet

import check_cells
from layerscope.cells.check import check
from layerscope.cells.obs import read_provenance
from layerscope.cells.prepare import prepare
from layerscope.models.catalogue import FAMILIES
from layerscope.study.configuration import Configuration
from layouts import write_gse276896
from scanpy_cells import pbmc68k

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_scaled_and_logged_matrices_are_told_and_recovery_proposed(tmp_path):
    write_gse276896(tmp_path / "blood.h5ad")
    said = check(tmp_path / "blood.h5ad", FAMILIES)
    assert "blood.h5ad: 120 cells" in said
    assert "X: scaled values" in said
    assert "raw/X: natural" in said
    assert "recover_counts: {total: total_counts, per: 10000, logged: true}" in said
    assert "names: human" in said
    assert next(line for line in said.splitlines() if "Timepoint" in line).endswith("[time?]")
    assert "hellinger_svd: yes" in said
    assert "tahoe_x1: yes, with `gene_names: hgnc`" in said


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (["annotation", "donor_id", "sample"], "label: possible .*annotation, .* donor_id"),
        (["annotation", "sample"], "label: possible .*annotation, .* sample"),
        (["annotation"], "label: possible .*annotation, no donor"),
        (["sample"], "label: needs .* labels"),
        (["annotation", "sample"], "integration: possible .*sample, .* annotation"),
        (["sample"], "integration: needs .* cell types"),
        (["annotation"], "integration: needs .* batches"),
        (["annotation"], "time: needs .* times"),
        (["day", "donor_id"], "time: too few .*3 .* day, 3 donor_id"),
    ],
)
def test_cell_types_and_what_they_are_tested_across_are_found(tmp_path, columns, line):
    source = write(
        tmp_path / "a.h5ad", **{column: [f"{column} {k % 3}" for k in range(60)] for column in columns}
    )
    assert re.search(line, check(source, FAMILIES))


def patients(path: Path, **obsm: np.ndarray) -> Path:
    """Cells of 12 patients, two samples of each: 6 are sick, and one sample of each is stimulated."""
    cells = anndata.AnnData(np.random.default_rng(0).poisson(1.0, (240, 40)).astype(np.float32))
    number = np.arange(240) % 12
    cells.obs["patient"] = [f"P{i}" for i in number]
    cells.obs["sample"] = [f"P{i}_{half}" for i, half in zip(number, np.arange(240) // 120, strict=True)]
    cells.obs["disease"] = np.where(number < 6, "sick", "healthy")
    cells.obs["severity"] = np.where(number < 1, "worst", cells.obs["disease"])
    cells.obs["stimulus"] = np.where(np.arange(240) < 120, "none given", "IFN")
    cells.obs["annotation"] = [f"type {i % 5}" for i in range(240)]
    cells.obs["alias"] = [f"donor number {i}" for i in number]
    for name, values in obsm.items():
        cells.obsm[name] = values
    cells.write_h5ad(path)
    return path


@pytest.mark.parametrize(
    "line",
    [
        "annotation: 5 labels, of the cell; each in 12 of 12 donors (patient)",
        "disease: 2 labels, of the donor; donors (patient) with each: healthy: 6, sick: 6",
        "severity: 3 labels, of the donor; donors (patient) with each: healthy: 6, sick: 5, worst: 1; "
        "a label of one donor cannot be told from that donor",
        "stimulus: 2 labels, of the sample; donors (patient) with each: IFN: 12, none given: 12",
    ],
)
def test_labels_are_listed_with_what_they_are_of_and_how_many_donors_have_each(tmp_path, line):
    said = check(patients(tmp_path / "a.h5ad"), FAMILIES)
    section = said.split("Labels that", 1)[1].split("\n\n")[0].splitlines()
    assert f"  {line}" in section
    assert not any(name in row for row in section for name in ("alias:", "patient:", "sample:"))


@pytest.mark.parametrize(
    ("n_targets", "n_cells", "line"),
    [
        (20, 40, "response: possible (20 perturbations)"),
        (19, 40, "response: needs 20 perturbations of 40 cells each; 19 have so many"),
        (20, 39, "response: needs 20 perturbations of 40 cells each; 0 have so many"),
    ],
)
def test_a_screen_is_told_whether_its_effects_can_be_decoded(tmp_path, n_targets, n_cells, line):
    target = np.repeat(["non-targeting", *(f"T{i}" for i in range(n_targets))], n_cells)
    source = write(tmp_path / "screen.h5ad", target=target)
    assert f"  {line}" in check(source, FAMILIES).splitlines()


def test_embeddings_in_the_file_are_listed_with_how_a_study_takes_them(tmp_path):
    draw = np.random.default_rng(0).normal(size=(240, 10)).astype(np.float32)
    holes = draw.copy()
    holes[7, 3] = np.nan
    arrays = {"X_scVI": draw, "X_umap": draw[:, :2], "X_tsne_3d": draw[:, :3], "X_holes": holes}
    arrays["X_sparse"] = sparse.csr_matrix(draw)
    said = check(patients(tmp_path / "a.h5ad", **arrays), FAMILIES)
    lines = said.split("Embeddings (obsm)\n", 1)[1].split("\n\n")[0].splitlines()
    takes = {line.split(":")[0].strip() for line in lines if "family: stored" in line}
    assert takes == {"X_scVI"}
    assert any("X_holes" in line and "missing" in line for line in lines)
    assert len(lines) == 5


def test_a_model_that_lacks_gene_names_is_given_the_remedy_that_there_is(tmp_path):
    cells = anndata.read_h5ad(patients(tmp_path / "a.h5ad"))
    said = check(tmp_path / "a.h5ad", FAMILIES)
    assert "geneformer: no: it needs Ensembl" in said
    cells.var_names = ["CD3E", "CD4", "MS4A1", "LYZ", "NKG7", *(f"ZNF{i}" for i in range(35))]
    cells.write_h5ad(tmp_path / "b.h5ad")
    assert "geneformer: yes, with `gene_names: hgnc`" in check(tmp_path / "b.h5ad", FAMILIES)


def test_a_file_that_nothing_can_use_is_said_to_be_so(tmp_path):
    scaled = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    anndata.AnnData(scaled).write_h5ad(tmp_path / "a.h5ad")
    said = check(tmp_path / "a.h5ad", FAMILIES)
    assert "none: no matrix" in said


def advice(said: str) -> dict[str, Any]:
    """The printed entry, once a study's own validation has taken it."""
    datasets = yaml.safe_load(said.split("config/datasets.yaml\n")[1])
    Configuration.read(
        {
            "study": {"title": "t", "conditions": ["c"], "models": ["m"]},
            "models": {"m": {"family": "hvg_pca"}},
            "datasets": datasets,
            "conditions": {"c": {"dataset": "my_cells", "task": "trajectory"}},
        }
    )
    entry: dict[str, Any] = datasets["my_cells"]
    return entry


def write(path: Path, **obs: Any) -> Path:
    counts = np.random.default_rng(0).poisson(2.0, (len(next(iter(obs.values()))), 20))
    return write_h5ad(path, counts, [f"AB{i}" for i in range(20)], obs=obs)


ADVICE: list[tuple[dict[str, list[object]], dict[str, Any]]] = [
    (
        {"condition": ["A+ctrl", "A+ctrl", "ctrl", "A+B", "B", "ctrl"]},
        {"columns": {"perturbation": "condition"}, "control": ["ctrl"]},
    ),
    (
        {
            "product_name": ["JQ1", "DMSO_TF", "vehicle", "JQ1", "DMSO_TF", "5-FU/Leucovorin"],
            "dose": [1.0, 2.0] * 3,
        },
        {"columns": {"perturbation": "product_name"}, "control": ["DMSO_TF", "vehicle"]},
    ),
    (
        {"gene": ["a", "NT"] * 3, "sgID_AB": ["a|a", "NT_1|NT_2"] * 3, "gem_group": [1, 2, 1] * 2},
        {"columns": {"perturbation": "gene", "guide": "sgID_AB", "batch": "gem_group"}, "control": ["NT"]},
    ),
    (
        {"day": ["d10", "d2", "iPSC"] * 2},
        {"columns": {"time": "day"}, "root": {"time": ["iPSC"]}, "time_order": ["iPSC", "d2", "d10"]},
    ),
    (
        {"day": ["2", "24h", "2"] * 2},
        {"columns": {"time": "day"}, "root": {"time": ["2"]}, "time_order": ["2", "24h"]},
    ),
    (
        {"cell type: fine, #1": ["yes", "no", "1"] * 2, "perturbation_type": ["CRISPRi", "CRISPRa"] * 3},
        {"columns": {"cell_type": "cell type: fine, #1"}},
    ),
    ({"true_pseudotime": [0.1, 0.2, 0.3] * 2, "barcode": list("abcdef")}, {}),
]


@pytest.mark.parametrize(("obs", "expected"), ADVICE)
def test_what_is_printed_is_right_and_a_study_takes_it_as_it_is(tmp_path, obs, expected):
    source = write(tmp_path / "my cells #1.h5ad", **obs)
    entry = advice(check(source, FAMILIES))
    assert entry == {"kind": "h5ad", "source": {"path": str(source)}, "values": "counts"} | expected
    prepare([source], entry, "mine", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")


def test_what_is_odd_about_columns_and_features_is_said(tmp_path):
    source = write(
        tmp_path / "a.h5ad", cell_type=["NA", "B", "T"] * 4, annotation=[0, 1, 2] * 4, leiden=[0, 1, 2] * 4
    )
    cells = anndata.read_h5ad(source)
    cells.var["feature_types"] = ["Gene Expression"] * 17 + ["Antibody Capture"] * 3
    cells.var["gene_name"] = ["", "", *cells.var_names[2:]]
    cells.var_names = [f"ENSG{i:011d}" for i in range(20)]
    cells.write_h5ad(source)
    with h5py.File(source, "a") as stored:
        del stored["obs"].attrs["column-order"]
        stored["obs/nested"] = np.zeros((12, 2))
        stored["obs/counts/cell"] = np.zeros(12)
    said = check(source, FAMILIES)
    odd = ("missing: NA (4)", "Antibody Capture (3)", "2 genes have no")
    assert [words for words in odd if words not in said] == []
    assert said.count("codes without labels?") == 1
    assert "names repeat" not in said
    assert "nested: skipped" in said and "counts: skipped" in said


@pytest.mark.parametrize("kind", ["folder", "h5"])
def test_10x_matrices_are_described_with_an_entry_that_reads_them(tmp_path, kind):
    given = tmp_path / "sample"
    if kind == "folder":
        write_triplet(given)
    else:
        given = tmp_path / "sample.h5"
        write_h5(given, protein=True)
    said = check(given, FAMILIES)
    assert said.splitlines()[0].endswith(": 7 cells x 5 genes")
    assert ("Antibody Capture (1)" in said) == (kind == "h5")
    entry = advice(said)
    assert entry == {"kind": "10x", "source": {"path": str(given)}, "values": "counts"}
    prepare([given], entry, "mine", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")


def test_where_no_matrix_can_be_chosen_the_entry_says_which_there_are(tmp_path):
    source = write(tmp_path / "a.h5ad", cell_type=["B", "T"] * 6)
    cells = anndata.read_h5ad(source)
    cells.layers["aa"], cells.layers["bb"] = cells.X.copy(), np.minimum(cells.X.toarray(), 3)
    cells.X = np.random.default_rng(0).normal(size=cells.shape).astype(np.float32)
    cells.write_h5ad(source)
    said = check(source, FAMILIES)
    assert "layers/aa, layers/bb" in said
    assert "matrix" not in advice(said)


def test_the_entry_for_two_genomes_takes_one_and_names_both(tmp_path):
    write_genomes(tmp_path / "a.h5", 3)
    said = check(tmp_path / "a.h5", FAMILIES)
    assert "GRCh38, mm10" in said
    assert advice(said)["genome"] == "GRCh38"


@pytest.mark.parametrize(
    ("name", "n_cells", "species"),
    [
        ("papalexi_lowmoi_counts", 16_093, "human"),
        ("larry_mouse_781", 781, "mouse"),
        ("norman_mcfaline_devel", 5_961, "human"),
        ("baron_pancreas_human_mouse", 328, "human"),
        ("kang_pbmc_ifnb", 1_556, "human"),
        ("worm_embryo_time", 1_805, "unknown"),
    ],
)
def test_the_proposed_entry_prepares_real_files(tmp_path, name, n_cells, species, capsys):
    source = SHARED / f"{name}.h5ad"
    if not source.is_file():
        pytest.skip(f"{source.name} is not beside the repository")
    check_cells.main([str(source)])
    entry = advice(capsys.readouterr().out)
    prepare([source], entry, "mine", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")
    about = read_provenance(tmp_path / "cells.h5ad")
    assert (about["n_cells"], about["organism"]) == (n_cells, species)


def test_rounded_values_are_said_to_be_so_and_old_tables_of_embeddings_are_no_obstacle():
    said = check(pbmc68k(), FAMILIES)
    assert "rounded to 3 decimals" in said
    assert "recover_counts: {total: n_counts, per: 10000, logged: true, decimals: 3}" in said
    assert "label: possible (bulk_labels, no donor" in said
    assert re.search(r"X_pca: .*before 0\.7", said)
