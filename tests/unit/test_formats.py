"""Files of other kinds are read, or it is said what they look like and what to do."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.utils import make_index_unique
from scipy import sparse

from layerscope.cells.canonical import read_cells
from layerscope.cells.check import check
from layerscope.cells.h5ad_file import open_h5ad, read_table
from layerscope.cells.prepare import prepare
from layerscope.cells.zarr_store import open_store
from layerscope.errors import DataError
from layerscope.models.catalogue import FAMILIES

COUNTS = np.random.default_rng(0).poisson(2.0, (30, 12)).astype(np.float32)
GENES = [f"AB{i}" for i in range(10)] + ["MT-ND1", "ACTB"]


def cells() -> anndata.AnnData:
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(["late", "early", "mid"] * 10, ["early", "mid", "late"], ordered=True),
            "drug": ["a", None, "\u00e4"] * 10,
            "n": np.arange(30),
            "maybe": pd.array([True, None, False] * 10, dtype="boolean"),
        },
        index=[f"AACG{i}" for i in range(30)],
    )
    made = anndata.AnnData(sparse.csr_matrix(COUNTS), obs=obs, var=pd.DataFrame(index=GENES))
    made.uns["iroot"] = 4
    return made


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dense", [False, True])
def test_a_zarr_store_is_read_like_the_h5ad_file(tmp_path, version, dense):
    made = cells()
    made.X = COUNTS if dense else made.X
    made.write_h5ad(tmp_path / "a.h5ad")
    with anndata.settings.override(zarr_write_format=version), warnings.catch_warnings(action="ignore"):
        made.write_zarr(tmp_path / "a.zarr")
    with open_store(tmp_path / "a.zarr") as store, open_store(tmp_path / "a.h5ad") as file:
        pd.testing.assert_frame_equal(read_table(store["obs"]), read_table(file["obs"]))
    settings = {"columns": {"perturbation": "drug"}, "root": {"time": "early"}}
    for name in ("a.zarr", "a.h5ad"):
        prepare([tmp_path / name], settings, "c", tmp_path / f"{name}.cells", tmp_path / "summary.tsv")
    with pytest.raises(DataError, match=r"zarr.*prepare_cells"):
        open_h5ad(tmp_path / "a.zarr")
    one, other = (read_cells(tmp_path / f"{name}.cells") for name in ("a.zarr", "a.h5ad"))
    assert np.array_equal(one.X.toarray(), COUNTS)
    pd.testing.assert_frame_equal(one.obs, other.obs)
    assert list(one.obs["time"].cat.categories) == ["early", "mid", "late"]
    assert one.uns["iroot_cell"] == "AACG4"


def write_loom(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in ("matrix", "row_attrs", "col_attrs"):
            file.create_group(name)


OTHERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("a.csv", lambda path: path.write_text("gene,c1\nA,1\n"), "table of text.*read_csv"),
    ("a.rds", lambda path: path.write_bytes(gzip.compress(b"RDX3")), "R object.*writeH5AD"),
    ("a.h5ad", lambda path: path.write_bytes(gzip.compress(b"..")), "gzipped: gunzip"),
    ("a.h5ad", lambda path: path.write_text("<!DOCTYPE html>"), "page of HTML"),
    ("a.loom", write_loom, "loom file.*read_loom"),
    ("a.h5mu", lambda path: h5py.File(path, "w").create_group("mod"), "MuData"),
    ("folder", lambda path: path.mkdir(), "folder, and neither a zarr store nor a 10x matrix"),
    ("outs", lambda path: (path / "raw_feature_bc_matrix").mkdir(parents=True), "perhaps give .*raw_feature"),
    ("absent.h5ad", lambda path: None, "no such file"),
]


@pytest.mark.parametrize(("name", "make", "words"), OTHERS, ids=[row[0] for row in OTHERS])
def test_what_a_file_of_another_kind_looks_like_is_said(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(DataError, match=words):
        check(tmp_path / name, FAMILIES)


def transposed_names(kind: str) -> tuple[list[str], list[str]]:
    if kind == "ensembl":
        return [f"ENSG{i:011d}" for i in range(30)], [f"s{i}" for i in range(12)]
    if kind == "symbols":
        return ["MT-ND1", "ACTB", *(f"AB{i}" for i in range(28))], [f"s{i}" for i in range(12)]
    barcodes = ["".join("ACGT"[(i >> k) % 4] for k in range(12)) + "-1" for i in range(12)]
    return [f"AB{i}" for i in range(30)], barcodes


@pytest.mark.parametrize("kind", ["ensembl", "symbols", "barcodes"])
def test_a_transposed_matrix_is_told_and_not_prepared(tmp_path, kind):
    rows, columns = transposed_names(kind)
    columns = list(make_index_unique(pd.Index(columns)))
    made = anndata.AnnData(COUNTS, obs=pd.DataFrame(index=rows), var=pd.DataFrame(index=columns))
    made.write_h5ad(tmp_path / "a.h5ad")
    assert "looks transposed" in check(tmp_path / "a.h5ad", FAMILIES)
    with pytest.raises(DataError, match=r"transposed.*adata\.T"):
        prepare([tmp_path / "a.h5ad"], {}, "c", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")


def test_profiles_named_after_genes_are_not_taken_for_a_transposed_matrix(tmp_path):
    targets = ["ACTB", "RPL3", "RPS5", *(f"AB{i}" for i in range(27))]
    genes = ["TP53", "CD3E", "GATA1", "KLF1", "SPI1", "CEBPA", *(f"ZNF{i}" for i in range(6))]
    made = anndata.AnnData(COUNTS, obs=pd.DataFrame(index=targets), var=pd.DataFrame(index=genes))
    made.write_h5ad(tmp_path / "a.h5ad")
    prepare([tmp_path / "a.h5ad"], {}, "c", tmp_path / "cells.h5ad", tmp_path / "summary.tsv")
