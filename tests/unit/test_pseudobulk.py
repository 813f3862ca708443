import json

import anndata
import numpy as np
import pytest
from perturbation_cells import experiment, write

from layerscope.errors import DataError
from layerscope.tasks.perturbation.pseudobulk import assign_samples, sum_pseudobulk
from layerscope.tasks.perturbation.settings import PaperSettings
from layerscope.tasks.screens import blocks


def made(tmp_path, cells, **settings):
    chosen = PaperSettings(**{"pseudobulk_by": ("guide", "replicate")} | settings)
    sum_pseudobulk(write(tmp_path / "cells.h5ad", cells), tmp_path / "pseudobulk.h5ad", chosen)
    return anndata.read_h5ad(tmp_path / "pseudobulk.h5ad")


def remarks(samples):
    return " ".join(json.loads(samples.uns["layerscope"])["remarks"])


def test_a_sample_is_the_sum_of_its_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "ROWS_AT_ONCE", 7)
    cells = experiment()
    samples = made(tmp_path, cells)
    member = (cells.obs["guide"] == "P03_g1") & (cells.obs["replicate"] == "lane_0")
    assert samples["P03|P03_g1|lane_0"].obs["n_cells"].tolist() == [member.sum()]
    expected = np.asarray(cells.X[member.to_numpy()].sum(axis=0)).ravel()
    assert (samples["P03|P03_g1|lane_0"].X.ravel() == expected).all()
    assert samples.X.sum() == cells.X.sum()
    assert samples.X.dtype.kind == "i"


def test_control_samples_come_first_and_perturbations_follow_by_name(tmp_path):
    samples = made(tmp_path, experiment()[::-1].copy())
    order = samples.obs["perturbation"].drop_duplicates().tolist()
    assert order == ["non-targeting", *[f"P{i:02d}" for i in range(9)]]
    assert samples.obs["is_control"].tolist() == (samples.obs["perturbation"] == "non-targeting").tolist()


def test_small_samples_and_small_perturbations_are_left_out_and_named(tmp_path):
    cells = experiment()
    few = np.flatnonzero(cells.obs["perturbation"] == "P00")[12:]
    one_lane = np.flatnonzero((cells.obs["guide"] == "P01_g0") & (cells.obs["replicate"] == "lane_1"))[2:]
    cells = cells[np.setdiff1d(np.arange(cells.n_obs), np.concatenate([few, one_lane]))].copy()
    samples = made(tmp_path, cells)
    assert "P00" not in samples.obs["perturbation"].tolist()
    assert "P01|P01_g0|lane_1" not in samples.obs_names
    assert "P01|P01_g0|lane_0" in samples.obs_names
    assert "1 of 9 perturbations" in remarks(samples)
    assert "fewer than 5" in remarks(samples)


def test_the_largest_perturbations_are_kept_where_a_number_is_asked_for(tmp_path):
    cells = experiment()
    fewer = np.flatnonzero(cells.obs["perturbation"] != "P04")
    cells = cells[np.sort(np.concatenate([fewer[::2], np.flatnonzero(cells.obs["perturbation"] == "P04")]))]
    samples = made(tmp_path, cells.copy(), max_perturbations=4)
    assert set(samples.obs["perturbation"]) == {"non-targeting", "P04", "P00", "P01", "P02"}


def test_controls_of_one_guide_are_divided_by_replicate(tmp_path):
    cells = experiment()
    cells.obs.loc[cells.obs["is_control"], "guide"] = "NT"
    samples = made(tmp_path, cells, pseudobulk_by=("guide",))
    control = samples.obs[samples.obs["is_control"]]
    assert control["replicate"].tolist() == ["lane_0", "lane_1"]
    assert (samples.obs.loc[~samples.obs["is_control"], "replicate"] == "").all()
    assert "by replicate" in remarks(samples)


def test_cells_without_guides_are_divided_by_replicate(tmp_path):
    cells = experiment()
    del cells.obs["guide"]
    samples = made(tmp_path, cells)
    assert samples.n_obs == 2 * 10
    assert "samples by replicate" in remarks(samples)


def test_controls_that_nothing_divides_are_refused(tmp_path):
    cells = experiment()
    del cells.obs["replicate"]
    cells.obs.loc[cells.obs["is_control"], "guide"] = "NT"
    with pytest.raises(DataError, match=r"1 sample\(s\) by guide"):
        made(tmp_path, cells)


def test_cells_without_a_perturbation_are_in_no_sample():
    cells = experiment()
    cells.obs.loc[cells.obs["guide"] == "P00_g0", "perturbation"] = ""
    table, sample, _ = assign_samples(cells.obs, PaperSettings())
    assert (sample[(cells.obs["perturbation"] == "").to_numpy()] == -1).all()
    assert "" not in table["perturbation"].tolist()
