"""The cord-blood file: counts recovered exactly, the owners' labels and root mapped."""

from __future__ import annotations

from functools import partial

import anndata
import cell_files
import numpy as np
import pytest

from layerscope.errors import DataError
from layouts import write_gse276896

prepared = partial(cell_files.prepared, kind="gse276896", task="trajectory")


def test_counts_are_recovered_exactly_and_labels_mapped(tmp_path):
    counts = write_gse276896(tmp_path / "source.h5ad")
    cells = prepared(tmp_path / "source.h5ad", tmp_path)
    owners = anndata.read_h5ad(tmp_path / "source.h5ad")
    assert np.array_equal(cells.X.toarray(), counts)
    assert list(cells.obs["time"].cat.categories) == ["Day3", "Day10", "Day17"]
    assert "DC precursor" in set(cells.obs["cell_type"])
    assert (cells.obs["clone"] == "").sum() == (owners.obs["Meta clones"] == "-1.0").sum() > 0
    np.testing.assert_array_equal(cells.obs["reference_pseudotime"], owners.obs["dpt_pseudotime"])
    assert cells.uns["iroot_cell"] == owners.obs_names[owners.uns["iroot"]]
    root = cells.obs[cells.obs["is_root"]]
    assert set(root["time"]) == {"Day3"}
    assert set(root["cell_type"]) == {"HSC"}
    assert cells.uns["iroot_cell"] in root.index


def test_the_logarithms_can_be_had_instead(tmp_path):
    counts = write_gse276896(tmp_path / "source.h5ad")
    cells = prepared(tmp_path / "source.h5ad", tmp_path, values="log_normalised")
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(cells.X.toarray(), expected, rtol=1e-5)


def test_other_columns_and_another_root_take_precedence(tmp_path):
    write_gse276896(tmp_path / "source.h5ad")
    cells = prepared(
        tmp_path / "source.h5ad", tmp_path, columns={"clone": "clones"}, root={"time": "Day17", "leiden": "2"}
    )
    assert set(cells.obs["time"][cells.obs["is_root"]]) == {"Day17"}
    assert "-1" not in set(cells.obs["clone"])


def test_a_missing_root_of_the_owners_is_named(tmp_path):
    write_gse276896(tmp_path / "source.h5ad")
    cells = anndata.read_h5ad(tmp_path / "source.h5ad")
    del cells.uns["iroot"]
    cells.write_h5ad(tmp_path / "odd.h5ad")
    with pytest.raises(DataError, match=r"uns\['iroot'\]"):
        prepared(tmp_path / "odd.h5ad", tmp_path)
