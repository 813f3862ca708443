"""Cells of a Python session, read as a file with the same content is, and left as they are."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from layerscope.cells.canonical import read_cells
from layerscope.cells.prepare import prepare
from layerscope.doors.cells import prepared
from layerscope.errors import ConfigError, DataError

N_CELLS, N_GENES = 60, 30


def cells(**changes: Any) -> anndata.AnnData:
    """Counts of genes with symbols, and labels of several types."""
    random = np.random.default_rng(0)
    counts = random.poisson(2.0, (N_CELLS, N_GENES)).astype(np.float32)
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(random.choice(["B", "T", "NK"], N_CELLS)),
            "patient": random.choice([1.0, 2.0, np.nan], N_CELLS),
            "is_root": pd.array(random.choice([True, False, pd.NA], N_CELLS), dtype="boolean"),
            "day": random.choice(["d10", "d2"], N_CELLS),
        },
        index=[f"cell{number}" for number in range(N_CELLS)],
    )
    var = pd.DataFrame(index=[f"G{number}" for number in range(N_GENES)])
    return anndata.AnnData(**{"X": counts, "obs": obs, "var": var} | changes)


def logged(counts: Any) -> Any:
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def with_other_values(where: str) -> anndata.AnnData:
    """The counts in X, raw or a layer, and values that are no counts in the other places."""
    adata = cells()
    counts = adata.X.copy()
    if where == "raw":
        adata.raw = adata.copy()
    elif where == "layers/counts":
        adata.layers["counts"] = sparse.csc_matrix(counts)
    if where != "X":
        adata.X = logged(counts)
    return adata


SETTINGS: dict[str, Any] = {
    "columns": {"cell_type": "kind", "donor": "patient", "time": "day"},
    "quality": {"min_genes_per_cell": 20, "min_cells_per_gene": 3},
}


def content(path: Path) -> tuple[Any, ...]:
    made = read_cells(path)
    return made.X.toarray(), made.obs, made.var


def assert_same(one: Path, other: Path) -> None:
    (values, obs, var), (others, other_obs, other_var) = content(one), content(other)
    np.testing.assert_array_equal(values, others)
    pd.testing.assert_frame_equal(obs, other_obs)
    pd.testing.assert_frame_equal(var, other_var)


@pytest.mark.parametrize("matrix", ["X", "raw", "layers/counts"])
@pytest.mark.parametrize("held", ["in memory", "backed", "as a view", "as a backed view", "as a path"])
def test_cells_become_the_same_however_they_are_held(tmp_path: Path, matrix: str, held: str) -> None:
    whole = with_other_values(matrix)
    keep = np.arange(N_CELLS) % 4 != 0
    part = whole[keep].copy() if "view" in held else whole
    part.write_h5ad(tmp_path / "part.h5ad")
    settings = {**SETTINGS, "matrix": matrix}
    for folder in ("file", "call"):
        (tmp_path / folder).mkdir()
    prepare(
        [tmp_path / "part.h5ad"], settings, "c", tmp_path / "file/cells.h5ad", tmp_path / "file/summary.tsv"
    )

    given: Any = whole[keep] if held == "as a view" else whole
    if "backed" in held or "path" in held:
        whole.write_h5ad(tmp_path / "whole.h5ad")
        given = tmp_path / "whole.h5ad"
    if "backed" in held:
        given = anndata.read_h5ad(given, backed="r")
        given = given[keep] if "view" in held else given
    made = prepared(given, settings, "c", tmp_path / "call")
    assert_same(made, tmp_path / "file/cells.h5ad")


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint16"])
def test_every_kind_of_matrix_is_read(tmp_path: Path, form: Any, dtype: str) -> None:
    adata = cells()
    counts = adata.X
    adata.layers["odd"] = form(counts.astype(dtype))
    made = prepared(adata, {"matrix": "layers/odd"}, "c", tmp_path)
    np.testing.assert_array_equal(read_cells(made).X.toarray(), counts)


def test_what_is_given_is_not_changed(tmp_path: Path) -> None:
    adata = with_other_values("layers/counts")
    adata.X = sparse.csr_matrix(adata.X)
    adata.X.data[::7] = 0  # explicit zeros stay
    before = pickle.dumps((adata.X, adata.obs, adata.var, dict(adata.uns), adata.layers["counts"]))
    prepared(adata, {**SETTINGS, "matrix": "layers/counts"}, "c", tmp_path)
    assert pickle.dumps((adata.X, adata.obs, adata.var, dict(adata.uns), adata.layers["counts"])) == before


@pytest.mark.parametrize("where", ["raw", "layers/counts"])
def test_values_that_are_no_counts_are_refused_with_the_place_of_the_counts(
    tmp_path: Path, where: str
) -> None:
    with pytest.raises(DataError, match=rf"adata: X: .*log-normalised.*`matrix: {where}`"):
        prepared(with_other_values(where), {}, "c", tmp_path)
    assert not (tmp_path / "cells.h5ad").exists()


def test_the_root_that_uns_names_is_kept(tmp_path: Path) -> None:
    adata = cells()
    adata.uns["iroot"] = np.int64(5)
    assert read_cells(prepared(adata, {}, "c", tmp_path)).uns["iroot_cell"] == "cell5"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"matrix": "layers/count"}, ConfigError, "no matrix 'layers/count'"),
        ({"columns": {"donor": "patients"}}, DataError, "did you mean 'patient'"),
        ({"columns": {"donar": "patient"}}, ConfigError, "donar"),
        ({"values": "log_normalised"}, DataError, "looks like raw counts"),
    ],
)
def test_what_there_is_not_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        prepared(cells(), change, "c", tmp_path)


def test_names_that_repeat_and_columns_that_repeat_are_refused(tmp_path: Path) -> None:
    adata = cells()
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    with pytest.raises(DataError, match="same"):
        prepared(adata, {}, "c", tmp_path)
    adata = cells()
    adata.obs.columns = ["kind", "kind", *adata.obs.columns[2:]]
    with pytest.raises(DataError, match="2 columns 'kind'"):
        prepared(adata, {"columns": {"cell_type": "kind"}}, "c", tmp_path)
