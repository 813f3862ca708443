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
from cell_files import adata_of, write_canonical
from scipy import sparse

from layerscope.errors import DataError, LayerscopeError
from layerscope.extraction.array_files import layer_places, open_arrays
from layerscope.extraction.embeddings_file import read_cells, read_layer, read_layers, read_provenance
from layerscope.extraction.import_embeddings import import_embeddings

N_CELLS, WIDTH = 40, 5
NAMES = [f"cell-{k:03d}" for k in np.random.default_rng(1).permutation(N_CELLS)]
# the values of a cell tell which cell it is
VALUES = np.array([[int(name[-3:]) + w / 10 for w in range(WIDTH)] for name in NAMES], dtype=np.float32)


@pytest.fixture
def cells(tmp_path):
    """Prepared cells."""
    counts = np.random.default_rng(0).poisson(1.0, (N_CELLS, 6))
    return write_canonical(tmp_path / "cells.h5ad", adata_of(counts, cell_ids=NAMES))


@pytest.fixture
def bring(cells, tmp_path):
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


def table_of_names(order: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"row": range(N_CELLS), "barcode": [NAMES[k] for k in order]})


def numbered(order: np.ndarray) -> anndata.AnnData:
    """Cells whose names stand in a column alone."""
    of = adata(order)
    of.obs_names = [str(k) for k in range(N_CELLS)]
    of.obs["barcode"] = of.obs["barcode"].astype("category")
    return of


def with_frame(order: np.ndarray) -> anndata.AnnData:
    of = adata(order)
    of.obsm["frame"] = frame(order)
    return of


def as_x(order: np.ndarray) -> anndata.AnnData:
    return anndata.AnnData(
        sparse.csr_matrix(VALUES[order]), obs=pd.DataFrame(index=[NAMES[k] for k in order])
    )


def lists(order: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"id": [NAMES[k] for k in order], "embedding": list(VALUES[order])})


def write_npy(path: Path, order: np.ndarray) -> None:
    np.save(path, VALUES[order].astype(np.float64))
    names = table_of_names(order)
    path.with_name("names.txt").write_text("\n".join(names["barcode"]))
    names.to_csv(path.with_name("names.csv"), index=False)
    adata(order).write_h5ad(path.with_name("names.h5ad"))


def write_npz(path: Path, order: np.ndarray, kind: type) -> None:
    np.savez_compressed(path, emb=VALUES[order], ids=np.array([NAMES[k] for k in order]).astype(kind))


# a file, how it is written, and what a study says of it
SCVI = {"layers": {"official": "obsm/X_scVI"}}
ARRAY = {"layers": {"official": "emb"}, "column": "ids"}
EMBEDDING = {"layers": {"official": "embedding"}}
FORMATS: dict[str, tuple[str, Callable[[Path, np.ndarray], object], dict[str, Any]]] = {
    "h5ad": ("a.h5ad", lambda path, order: adata(order).write_h5ad(path), SCVI),
    "h5ad, names in a column": (
        "a.h5ad", lambda path, order: numbered(order).write_h5ad(path), SCVI | {"column": "barcode"}
    ),
    "h5ad, a frame": (
        "a.h5ad",
        lambda path, order: with_frame(order).write_h5ad(path),
        {"layers": {"official": "obsm/frame"}},
    ),
    "h5ad, a sparse X": (
        "a.h5ad", lambda path, order: as_x(order).write_h5ad(path), {"layers": {"official": "X"}}
    ),
    "zarr": ("a.zarr", lambda path, order: adata(order).write_zarr(path), SCVI),
    "npy, names as text": ("a.npy", write_npy, {"cells": "names.txt"}),
    "npy, names in a table": ("a.npy", write_npy, {"cells": "names.csv", "column": "barcode"}),
    "npy, names of cells": ("a.npy", write_npy, {"cells": "names.h5ad"}),
    "npz": ("a.npz", lambda path, order: write_npz(path, order, np.str_), ARRAY),
    "npz, names as bytes": ("a.npz", lambda path, order: write_npz(path, order, np.bytes_), ARRAY),
    "parquet": ("a.parquet", lambda path, order: frame(order).to_parquet(path), {}),
    "parquet, names in a column": (
        "a.parquet", lambda path, order: lists(order).to_parquet(path), EMBEDDING | {"column": "id"}
    ),
    "parquet, lists": (
        "a.parquet", lambda path, order: lists(order).to_parquet(path), EMBEDDING
    ),
    "csv": ("a.csv", lambda path, order: frame(order).to_csv(path), {}),
    "tsv, gzipped, with words": (
        "a.tsv.gz",
        lambda path, order: frame(order).rename_axis("id").assign(kind="b").to_csv(path, sep="\t"),
        {"column": "id"},
    ),
}  # fmt: skip


def write_file(folder: Path, kind: str) -> dict[str, Any]:
    """Embeddings in a format, in another order than the cells', and what a study says of them."""
    name, write, source = FORMATS[kind]
    write(folder / name, shuffled())
    beside = {"cells": folder / source["cells"]} if "cells" in source else {}
    return {"path": folder / name} | source | beside


@pytest.mark.parametrize("kind", FORMATS)
def test_cells_are_matched_by_name_in_every_format(kind, bring, tmp_path):
    output = bring(**write_file(tmp_path, kind))
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
    assert any("prepared ones: 3" in record.message for record in caplog.records)


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
    with pytest.raises(DataError, match="none of the 40") as refusal:
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


IDS = np.array(NAMES)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"emb": VALUES[1:], "ids": IDS}, "39 rows, but 40 cells"),
        ({"emb": VALUES[:, :, None], "ids": IDS}, r"\(40, 5, 1\)"),
        ({"emb": VALUES.astype(str), "ids": IDS}, "expected numbers"),
        ({"emb": VALUES.astype(object), "ids": IDS}, "pickled objects"),
        ({"emb": VALUES, "ids": IDS.astype(object)}, "pickled objects, which are refused; save text with"),
        ({"emb": VALUES}, "no column 'ids'"),
        ({"embedding": VALUES, "ids": IDS}, "no array 'emb'; .*there are: embedding"),
    ],
)
def test_a_file_that_does_not_hold_what_is_asked_is_refused(bring, tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words) as refusal:
        bring(tmp_path / "a.npz", {"official": "emb"}, column="ids")
    assert "a.npz" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.h5ad", b"", "not a readable HDF5 file"),
        ("a.csv", b"", "cannot be read"),
        ("a.zarr", b"", "cannot be read"),
        ("a.npz", b"PK\x03\x04 cut off", "cannot be read"),
        ("a.npy", b"", "names no cells"),
        ("a.pt", b"", "not a format"),
        ("a.parquet", None, "No such file"),
    ],
)
def test_no_such_thing_is_refused_whatever_the_format(bring, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LayerscopeError, match=words):
        bring(tmp_path / name, {"official": "X"}, **({"column": "ids"} if name == "a.npz" else {}))


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
        (["X_pca"], {"*": "obsm/layer_*"}, "no array fits 'obsm/layer_\\*'; there are: obsm/X_pca"),
        (["X_pca"], {"official": "obsm/X_scVI"}, "no array 'obsm/X_scVI'; .*there are: obsm/X_pca"),
        (["X_pca"], {"official": ""}, "Name it under 'layers'; there are: obsm/X_pca"),
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
    first = bring(**write_file(tmp_path, "h5ad"))
    first.rename(tmp_path / "again.h5ad")
    again = bring(tmp_path / "again.h5ad", {"official": "obsm/official"})
    assert read_layers(again) == ["official"]
    np.testing.assert_array_equal(read_layer(again, "official").matrix, VALUES)
    assert json.loads(json.dumps(read_provenance(again)))["arrays"] == {"official": "obsm/official"}
