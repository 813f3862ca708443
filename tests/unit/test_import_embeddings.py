"""Embeddings that a user brings: matched to cells by name, counted, and refused where they do not fit."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from layerscope.cells.canonical import write_cells
from layerscope.errors import ConfigError, DataError, LayerscopeError
from layerscope.extraction.array_files import layer_places, open_arrays
from layerscope.extraction.embeddings_file import read_cells, read_layer, read_layers, read_provenance
from layerscope.extraction.import_embeddings import import_embeddings

N_CELLS, WIDTH = 40, 5
NAMES = [f"cell-{k:03d}" for k in np.random.default_rng(1).permutation(N_CELLS)]
# the values of a cell tell which cell it is
VALUES = np.array([[int(name[-3:]) + w / 10 for w in range(WIDTH)] for name in NAMES], dtype=np.float32)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Prepared cells."""
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (N_CELLS, 6)).astype(np.float32))
    genes = pd.DataFrame({"symbol": [f"G{k}" for k in range(6)]}, index=[f"G{k}" for k in range(6)])
    table = anndata.AnnData(counts, obs=pd.DataFrame(index=NAMES), var=genes)
    about = {"condition": "blood", "dataset": "mine", "task": "label", "values": "counts"}
    write_cells(tmp_path / "cells.h5ad", table, about)
    return tmp_path / "cells.h5ad"


@pytest.fixture
def bring(cells: Path, tmp_path: Path) -> Callable[..., Path]:
    """Import a file; what is not named is as in a study."""

    def write(path: Path, layers: dict[str, str] | None = None, **changes: Any) -> Path:
        output = tmp_path / "embeddings.h5ad"
        keys = ("cells", "column")
        source = {"path": str(path)} | {key: str(changes.pop(key)) for key in keys if key in changes}
        limits: dict[str, Any] = {"max_missing": 0.05, "max_surplus": 1.0} | changes
        places = {"official": ""} if layers is None else layers
        import_embeddings(model="mine", cells=cells, source=source, layers=places, output=output, **limits)
        return output

    return write


def shuffled(seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).permutation(N_CELLS)


def frame(order: np.ndarray) -> pd.DataFrame:
    columns = [f"d{w}" for w in range(WIDTH)]
    return pd.DataFrame(VALUES[order], index=[NAMES[k] for k in order], columns=columns)


def adata(order: np.ndarray) -> anndata.AnnData:
    of = anndata.AnnData(
        obs=pd.DataFrame({"barcode": [NAMES[k] for k in order]}, index=[NAMES[k] for k in order])
    )
    of.obsm["X_scVI"] = VALUES[order]
    return of


def write_h5ad(path: Path, order: np.ndarray) -> dict[str, Any]:
    adata(order).write_h5ad(path.with_suffix(".h5ad"))
    return {"path": path.with_suffix(".h5ad"), "layers": {"official": "obsm/X_scVI"}}


def write_h5ad_column(path: Path, order: np.ndarray) -> dict[str, Any]:
    of = adata(order)
    of.obs_names = [str(k) for k in range(N_CELLS)]
    of.obs["barcode"] = of.obs["barcode"].astype("category")
    of.write_h5ad(path.with_suffix(".h5ad"))
    return {
        "path": path.with_suffix(".h5ad"),
        "layers": {"official": "obsm/X_scVI"},
        "column": "barcode",
    }


def write_h5ad_frame(path: Path, order: np.ndarray) -> dict[str, Any]:
    of = adata(order)
    of.obsm["frame"] = frame(order)
    of.write_h5ad(path.with_suffix(".h5ad"))
    return {"path": path.with_suffix(".h5ad"), "layers": {"official": "obsm/frame"}}


def write_sparse_x(path: Path, order: np.ndarray) -> dict[str, Any]:
    of = anndata.AnnData(
        sparse.csr_matrix(VALUES[order].astype(np.float64)),
        obs=pd.DataFrame(index=[NAMES[k] for k in order]),
    )
    of.write_h5ad(path.with_suffix(".h5ad"))
    return {"path": path.with_suffix(".h5ad"), "layers": {"official": "X"}}


def write_zarr(path: Path, order: np.ndarray) -> dict[str, Any]:
    adata(order).write_zarr(path.with_suffix(".zarr"))
    return {"path": path.with_suffix(".zarr"), "layers": {"official": "obsm/X_scVI"}}


def write_zarr_column(path: Path, order: np.ndarray) -> dict[str, Any]:
    return write_zarr(path, order) | {"column": "barcode"}


def write_npy_text(path: Path, order: np.ndarray) -> dict[str, Any]:
    np.save(path.with_suffix(".npy"), VALUES[order].astype(np.float64))
    names = path.with_name("names.txt")
    names.write_text("\n".join(NAMES[k] for k in order))
    return {"path": path.with_suffix(".npy"), "cells": names}


def write_npy_csv(path: Path, order: np.ndarray) -> dict[str, Any]:
    np.save(path.with_suffix(".npy"), VALUES[order].astype(np.float16).astype(np.float32))
    np.save(path.with_suffix(".npy"), VALUES[order])
    names = path.with_name("names.csv")
    table = pd.DataFrame({"row": range(N_CELLS), "barcode": [NAMES[k] for k in order]})
    table.to_csv(names, index=False)
    return {"path": path.with_suffix(".npy"), "cells": names, "column": "barcode"}


def write_npy_h5ad(path: Path, order: np.ndarray) -> dict[str, Any]:
    np.save(path.with_suffix(".npy"), VALUES[order])
    adata(order).write_h5ad(path.with_name("names.h5ad"))
    return {"path": path.with_suffix(".npy"), "cells": path.with_name("names.h5ad")}


def write_npz(path: Path, order: np.ndarray) -> dict[str, Any]:
    np.savez(path.with_suffix(".npz"), emb=VALUES[order], ids=np.array([NAMES[k] for k in order]))
    return {"path": path.with_suffix(".npz"), "layers": {"official": "emb"}, "column": "ids"}


def write_npz_bytes(path: Path, order: np.ndarray) -> dict[str, Any]:
    ids = np.array([NAMES[k].encode() for k in order])
    np.savez_compressed(path.with_suffix(".npz"), emb=VALUES[order], ids=ids)
    return {"path": path.with_suffix(".npz"), "layers": {"official": "emb"}, "column": "ids"}


def write_parquet(path: Path, order: np.ndarray) -> dict[str, Any]:
    frame(order).to_parquet(path.with_suffix(".parquet"))
    return {"path": path.with_suffix(".parquet")}


def write_parquet_column(path: Path, order: np.ndarray) -> dict[str, Any]:
    frame(order).assign(kind="b").rename_axis("id").reset_index().to_parquet(path.with_suffix(".parquet"))
    return {"path": path.with_suffix(".parquet"), "column": "id"}


def write_parquet_lists(path: Path, order: np.ndarray) -> dict[str, Any]:
    table = pd.DataFrame({"id": [NAMES[k] for k in order], "embedding": list(VALUES[order])})
    table.to_parquet(path.with_suffix(".parquet"))
    return {"path": path.with_suffix(".parquet"), "layers": {"official": "embedding"}}


def write_csv(path: Path, order: np.ndarray) -> dict[str, Any]:
    frame(order).to_csv(path.with_suffix(".csv"))
    return {"path": path.with_suffix(".csv")}


def write_tsv_gz(path: Path, order: np.ndarray) -> dict[str, Any]:
    frame(order).rename_axis("id").assign(kind="b").to_csv(path.with_suffix(".tsv.gz"), sep="\t")
    return {"path": path.with_suffix(".tsv.gz"), "column": "id"}


WRITERS = [
    write_h5ad,
    write_h5ad_column,
    write_h5ad_frame,
    write_sparse_x,
    write_zarr,
    write_zarr_column,
    write_npy_text,
    write_npy_csv,
    write_npy_h5ad,
    write_npz,
    write_npz_bytes,
    write_parquet,
    write_parquet_column,
    write_parquet_lists,
    write_csv,
    write_tsv_gz,
]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.removeprefix("write_"))
def test_cells_are_matched_by_name_in_every_format(write, bring, tmp_path):
    file = write(tmp_path / "mine", shuffled())
    output = bring(**file)
    layer = read_layer(output, "official")
    assert layer.cell_ids == NAMES
    np.testing.assert_allclose(layer.matrix, VALUES, rtol=1e-6)
    assert not any(layer.refused)
    about = read_provenance(output)
    assert (about["family"], about["n_layers"], about["n_missing"], about["n_surplus"]) == ("stored", 0, 0, 0)
    assert anndata.read_h5ad(output).obsm["official"].shape == (N_CELLS, WIDTH)


def test_missing_and_surplus_cells_are_counted_and_said(bring, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    of = adata(shuffled()[2:])
    stranger = of[:3].copy()
    stranger.obs_names = ["one", "two", "three"]
    anndata.concat([stranger, of]).write_h5ad(tmp_path / "mine.h5ad")
    output = bring(tmp_path / "mine.h5ad", {"official": "obsm/X_scVI"})
    missing = {NAMES[k] for k in shuffled()[:2]}
    names, reasons = read_cells(output)
    assert {name for name, reason in zip(names, reasons, strict=True) if reason} == missing
    matrix = read_layer(output, "official").matrix
    assert np.isnan(matrix).all(axis=1).tolist() == [name in missing for name in NAMES]
    about = read_provenance(output)
    assert (about["n_missing"], about["n_surplus"], about["n_refused"]) == (2, 3, 2)
    assert [record.levelname for record in caplog.records if "2 of 40" in record.message] == ["WARNING"]
    assert any("none of the prepared ones: 3" in record.message for record in caplog.records)


def test_cells_without_a_finite_embedding_are_refused_in_every_layer(bring, tmp_path):
    order, of = np.arange(N_CELLS), adata(np.arange(N_CELLS))
    of.obsm["a"], of.obsm["b"] = VALUES.astype(np.float64), VALUES[order].copy()
    of.obsm["a"][3, 1] = np.nan
    of.obsm["b"][5] = np.inf
    of.obsm["a"][6, 0] = 1e300  # no number that float32 can hold
    of.write_h5ad(tmp_path / "mine.h5ad")
    output = bring(tmp_path / "mine.h5ad", {"01": "obsm/a", "02": "obsm/b"}, max_missing=0.1)
    for layer in ("01", "02"):
        refused = np.isnan(read_layer(output, layer).matrix).all(axis=1)
        assert np.flatnonzero(refused).tolist() == [3, 5, 6]
    assert read_provenance(output)["n_layers"] == 2


@pytest.mark.parametrize(
    ("n_missing", "n_surplus", "limits", "words"),
    [
        (4, 0, {"max_missing": 0.05}, ["4 of 40", "max_missing: 0.05", "max_missing: 0.1 or more"]),
        (4, 0, {"max_missing": 0.1}, []),
        (0, 10, {"max_surplus": 0.1}, ["10 of 50", "max_surplus: 0.1", "max_surplus: 0.2 or more"]),
        (0, 10, {"max_surplus": 0.2}, []),
        (1, 0, {"max_missing": 0.0}, ["1 of 40"]),
    ],
)
def test_a_share_beyond_the_limit_is_refused(bring, tmp_path, n_missing, n_surplus, limits, words):
    table = frame(np.arange(n_missing, N_CELLS))
    table = pd.concat([table, table.head(n_surplus).rename(index=lambda name: f"{name}-other")])
    table.to_parquet(tmp_path / "mine.parquet")
    if not words:
        bring(tmp_path / "mine.parquet", **limits)
        return
    with pytest.raises(DataError) as refusal:
        bring(tmp_path / "mine.parquet", **limits)
    assert [word for word in [*words, "mine.parquet"] if word not in str(refusal.value)] == []
    assert not (tmp_path / "embeddings.h5ad").exists()


def test_other_names_for_the_same_cells_are_refused_with_examples_of_both(bring, tmp_path):
    frame(shuffled()).rename(index=lambda name: f"{name}-1").to_parquet(tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="none of the 40 cells") as refusal:
        bring(tmp_path / "mine.parquet", max_missing=1.0)
    assert repr(NAMES[0]) in str(refusal.value)
    assert repr(f"{NAMES[shuffled()[0]]}-1") in str(refusal.value)


def test_a_cell_that_is_named_twice_is_refused(bring, tmp_path):
    pd.concat([frame(shuffled()), frame(shuffled()[:1])]).to_csv(tmp_path / "mine.csv")
    with pytest.raises(DataError, match=f"{NAMES[shuffled()[0]]}.* 2 times"):
        bring(tmp_path / "mine.csv")


def test_names_that_look_like_numbers_stay_text(tmp_path):
    pd.DataFrame({"id": ["0012", "1e5", "NA"], "x": [1.0, 2.0, 3.0]}).to_csv(tmp_path / "a.csv", index=False)
    assert open_arrays(tmp_path / "a.csv").cell_ids() == ["0012", "1e5", "NA"]


def write_bad(path: Path, kind: str) -> dict[str, Any]:
    """A file with a fault, and how it would be imported."""
    values, names = VALUES.copy(), np.array(NAMES)
    if kind == "rows":
        np.savez(path / "a.npz", emb=values[1:], ids=names)
    elif kind == "shape":
        np.savez(path / "a.npz", emb=values[:, :, None], ids=names)
    elif kind == "vector":
        np.savez(path / "a.npz", emb=values[:, 0], ids=names)
    elif kind == "text":
        np.savez(path / "a.npz", emb=values.astype(str), ids=names)
    elif kind == "pickle":
        np.savez(path / "a.npz", emb=values.astype(object), ids=names)
    elif kind == "pickled names":
        np.savez(path / "a.npz", emb=values, ids=names.astype(object))
    elif kind == "no names":
        np.savez(path / "a.npz", emb=values)
    elif kind == "cut off":
        np.savez(path / "a.npz", emb=values, ids=names)
        (path / "a.npz").write_bytes((path / "a.npz").read_bytes()[:300])
    elif kind == "empty":
        (path / "a.npz").touch()
    elif kind == "other array":
        np.savez(path / "a.npz", embedding=values, ids=names)
    return {"path": path / "a.npz", "layers": {"official": "emb"}, "column": "ids"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rows", "39 rows, but 40 cells"),
        ("shape", r"\(40, 5, 1\)"),
        ("vector", r"\(40,\)"),
        ("text", "expected numbers"),
        ("pickle", "pickled objects"),
        ("pickled names", "pickled objects, which are refused; save text with"),
        ("no names", "no column 'ids'"),
        ("cut off", "cannot be read"),
        ("empty", "cannot be read"),
        ("absent", "No such file"),
        ("other array", "no array 'emb'; there are embedding"),
    ],
)
def test_a_file_that_does_not_hold_what_is_asked_is_refused(bring, tmp_path, kind, words):
    with pytest.raises(DataError, match=words) as refusal:
        bring(**write_bad(tmp_path, kind))
    assert "a.npz" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.h5ad", "not a readable HDF5 file"),
        ("a.parquet", "cannot be read"),
        ("a.npy", "names no cells"),
        ("a.csv", "cannot be read"),
        ("a.zarr", "cannot be read"),
        ("a.pt", "not a format"),
        ("a.npz", "cannot be read"),
    ],
)
def test_no_such_thing_is_refused_whatever_the_format(bring, tmp_path, name, words):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(LayerscopeError, match=words):
        bring(tmp_path / name, {"official": "X"}, **({"column": "ids"} if name == "a.npz" else {}))


def test_an_array_and_a_table_of_other_cells_are_refused(bring, tmp_path):
    file = write_npy_text(tmp_path / "mine", shuffled())
    file["cells"].write_text("\n".join(NAMES[:-1]))
    with pytest.raises(DataError, match="40 rows, but 39 cells are named"):
        bring(**file)


def test_the_output_is_not_one_of_the_inputs(cells, tmp_path):
    frame(shuffled()).to_csv(tmp_path / "mine.csv")
    options: dict[str, Any] = {"max_missing": 0.0, "max_surplus": 0.0, "layers": {"official": ""}}
    with pytest.raises(ConfigError, match="the output is the input"):
        import_embeddings(
            model="mine",
            cells=cells,
            source={"path": str(tmp_path / "mine.csv")},
            output=tmp_path / "mine.csv",
            **options,
        )


@pytest.mark.parametrize(
    ("arrays", "layers", "expected"),
    [
        (["layer_0", "layer_1", "layer_10", "X_pca"], {"*": "obsm/layer_*"}, ["00", "01", "10"]),
        (["layer_00", "layer_01", "layer_official"], {"*": "obsm/layer_*"}, ["00", "01", "official"]),
        (["layer_01", "layer_02", "official"], {"*": "obsm/layer_*", "official": "obsm/official"}, None),
        (["h[1]_x", "h[2]_x", "h1_x"], {"*": "obsm/h[*]_x"}, ["01", "02"]),
        (["layer_00", "official"], {"official": "obsm/official", "*": "obsm/*_00"}, "neither a number"),
        (["X_pca", "X_umap"], {"*": "obsm/X_*"}, "'pca' is neither a number"),
        (["layer_1", "layer_01"], {"*": "obsm/layer_*"}, "are both layer 01"),
        (["X_pca"], {"*": "obsm/layer_*"}, "no array fits 'obsm/layer_\\*'; there are obsm/X_pca"),
        (["X_pca"], {"official": "obsm/X_scVI"}, "no array 'obsm/X_scVI'; there are obsm/X_pca"),
        (["X_pca"], {"official": ""}, "Name it under 'layers'; there are obsm/X_pca"),
    ],
)
def test_layers_are_named_or_fit_a_pattern(tmp_path, arrays, layers, expected):
    of = adata(np.arange(N_CELLS))
    del of.obsm["X_scVI"]
    for name in arrays:
        of.obsm[name] = VALUES
    of.write_h5ad(tmp_path / "mine.h5ad")
    file = open_arrays(tmp_path / "mine.h5ad")
    if isinstance(expected, str):
        with pytest.raises(DataError, match=expected):
            layer_places(file, layers)
        return
    assert list(layer_places(file, layers)) == (expected or ["01", "02", "official"])


def test_layers_of_our_own_files_can_be_brought_back(bring, tmp_path):
    file = write_h5ad(tmp_path / "mine", shuffled())
    first = bring(**file)
    first.rename(tmp_path / "again.h5ad")
    again = bring(tmp_path / "again.h5ad", {"official": "obsm/official"})
    assert read_layers(again) == ["official"]
    np.testing.assert_array_equal(read_layer(again, "official").matrix, VALUES)
    assert json.loads(json.dumps(read_provenance(again)))["arrays"] == {"official": "obsm/official"}
