"""The CD4+ T-cell perturb-seq files: the owners' flags, controls, donor and state from the name."""

from __future__ import annotations

from functools import partial

import anndata
import cell_files
import numpy as np
import pytest

from layerscope.cells.readers.cd4_perturbseq import donor_and_state
from layerscope.errors import DataError
from layerscope.tables import read_table
from layouts import write_cd4_perturbseq

FILE = "D1_Rest.assigned_guide.h5ad"


prepared = partial(cell_files.prepared, kind="cd4_perturbseq", task="perturbation")


def test_the_owners_layout_becomes_canonical(tmp_path):
    write_cd4_perturbseq(tmp_path / FILE)
    cells = prepared(tmp_path / FILE, tmp_path)
    owners = anndata.read_h5ad(tmp_path / FILE)
    usable = owners.obs[
        ~owners.obs["low_quality"]
        & owners.obs["guide_type"].notna()
        & (owners.obs["guide_id"] != "multi_sgRNA")
    ]
    assert list(cells.obs_names) == list(usable.index)
    assert np.array_equal(cells.X.toarray(), owners[usable.index].X.toarray())
    assert cells.obs["is_control"].tolist() == (usable["guide_type"] == "non-targeting").tolist()
    assert set(cells.obs["perturbation"][cells.obs["is_control"]]) == {"non-targeting"}
    assert set(cells.obs["guide"][cells.obs["is_control"]]) <= {f"NTC-{i}" for i in range(1, 6)}
    assert set(cells.obs["replicate"]) == {"D1"}
    assert cells.obs["batch"].tolist() == usable["lane_id"].tolist()
    assert cells.var["ensembl_id"].iloc[0] == "ENSG00000000001"
    assert cells.var["symbol"].iloc[0] == "MT-ND0"


def test_the_counts_are_those_of_the_owners_rule(tmp_path):
    write_cd4_perturbseq(tmp_path / FILE, n_cells=900, unassigned=0.2)
    cells = anndata.read_h5ad(tmp_path / FILE)
    several = cells.obs["guide_id"] == "multi_sgRNA"
    assert set(cells.obs["guide_type"][several]) == {"targeting"}
    assert cells.obs["perturbed_gene_name"][several].isna().all()
    no_gene = cells.obs_names[cells.obs["perturbed_gene_name"] == "LAT"][:7]
    cells.obs.loc[no_gene, "perturbed_gene_name"] = np.nan
    cells.write_h5ad(tmp_path / FILE)
    single = cells.obs[~cells.obs["low_quality"] & ~several & cells.obs["guide_id"].notna()]
    targeting = single[(single["guide_type"] == "targeting") & single["perturbed_gene_name"].notna()]
    controls = single[single["guide_type"] == "non-targeting"]
    prepared(tmp_path / FILE, tmp_path)
    table = read_table(tmp_path / "summary.tsv", text=("threshold", "remark"))
    after = table[(table["group"] == "all") & (table["filter"] == "guide_type")]["cells_after"]
    assert after.tolist() == [len(targeting) + len(controls)]
    largest = targeting["perturbed_gene_name"].value_counts().index[:2]
    chosen = prepared(tmp_path / FILE, tmp_path, selection={"most_cells": 2}).obs["perturbation"]
    expected = targeting["perturbed_gene_name"].value_counts()[largest].to_dict()
    assert chosen.value_counts().to_dict() == {**expected, "non-targeting": len(controls)}


def test_the_order_of_the_columns_changes_no_count(tmp_path):
    order = np.random.default_rng(0).permutation(200)
    for name, given in (("D1_Rest", None), ("D1_Stim48hr", order)):
        write_cd4_perturbseq(tmp_path / f"{name}.assigned_guide.h5ad", gene_order=given)
    plain, shuffled = (
        prepared(tmp_path / f"{name}.assigned_guide.h5ad", tmp_path) for name in ("D1_Rest", "D1_Stim48hr")
    )
    assert list(plain.var_names) != list(shuffled.var_names)
    assert np.array_equal(plain.X.toarray(), shuffled[:, plain.var_names].X.toarray())
    assert plain.var.equals(shuffled.var.loc[plain.var_names])


def test_names_give_donor_and_state():
    assert donor_and_state(FILE) == ("D1", "Rest")
    assert donor_and_state("D3_Stim48hr.assigned_guide.h5ad") == ("D3", "Stim48hr")
    with pytest.raises(DataError, match="D1_Rest"):
        donor_and_state("cells.h5ad")


@pytest.mark.parametrize("kind", [str, int, float])
def test_flags_are_read_however_they_are_written(tmp_path, kind):
    write_cd4_perturbseq(tmp_path / FILE)
    plain = prepared(tmp_path / FILE, tmp_path).obs_names
    cells = anndata.read_h5ad(tmp_path / FILE)
    flags = cells.obs["low_quality"].astype(kind)
    cells.obs["low_quality"] = flags.str.upper() if kind is str else flags
    cells.obs["guide_type"] = cells.obs["guide_type"].cat.rename_categories(str.title)
    cells.write_h5ad(tmp_path / FILE)
    assert prepared(tmp_path / FILE, tmp_path).obs_names.equals(plain)


def test_flags_that_mean_nothing_are_refused(tmp_path):
    write_cd4_perturbseq(tmp_path / FILE)
    cells = anndata.read_h5ad(tmp_path / FILE)
    cells.obs["guide_type"] = "sgRNA"
    cells.write_h5ad(tmp_path / FILE)
    with pytest.raises(DataError, match=r"non-targeting.*sgRNA"):
        prepared(tmp_path / FILE, tmp_path)
    cells.obs["low_quality"] = "bad"
    cells.write_h5ad(tmp_path / FILE)
    with pytest.raises(DataError, match=r"'low_quality' .*bad"):
        prepared(tmp_path / FILE, tmp_path)
