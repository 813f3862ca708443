"""Tables of an h5ad file are read as anndata reads them, in every version of the format."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from processes import run_python

from layerscope.cells.check import check
from layerscope.cells.h5ad_file import (
    RowNames,
    column_names,
    open_h5ad,
    read_column,
    read_index,
    read_table,
    readable_table,
    why_unreadable,
)
from layerscope.cells.prepare import prepare
from layerscope.errors import DataError
from layerscope.models.catalogue import FAMILIES


def test_columns_of_every_kind_come_back(tmp_path):
    obs = pd.DataFrame(
        {
            "category": pd.Categorical(["b", None, "a"], categories=["b", "a"], ordered=True),
            "numbers": pd.Categorical([2, 4, 2]),
            "text": ["x", "ä", ""],
            "integer": np.array([1, 2, 3], dtype=np.int16),
            "real": [0.5, np.nan, 2.0],
            "flag": [True, False, True],
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "maybe": pd.array([True, None, False], dtype="boolean"),
        },
        index=["c1", "c 2", "ç3"],
    )
    anndata.AnnData(np.zeros((3, 1), dtype=np.float32), obs=obs).write_h5ad(tmp_path / "cells.h5ad")
    expected = anndata.read_h5ad(tmp_path / "cells.h5ad").obs
    with open_h5ad(tmp_path / "cells.h5ad") as stored:
        table = read_table(stored["obs"])
        assert read_table(stored["obs"], ["real"]).columns.tolist() == ["real"]
    nullable = ["nullable", "maybe"]
    pd.testing.assert_frame_equal(table.drop(columns=nullable), expected.drop(columns=nullable))
    assert table["nullable"].fillna(-1).tolist() == [1, -1, 3]
    assert table["maybe"].tolist() == [True, None, False]


@pytest.mark.parametrize("kind", ["text", "category", "0.6"])
def test_names_of_rows_are_read_when_asked_for_whatever_their_encoding(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("layerscope.cells.h5ad_file.NAMES_AT_ONCE", 2)
    names = ["c1", "c 2", "ç3", "c4", "c5"]
    with h5py.File(tmp_path / "cells.h5ad", "w") as stored:
        if kind == "0.6":
            stored["obs"] = np.array([(name.encode(), 1) for name in names], [("index", "S4"), ("n", "f4")])
        else:
            obs = stored.create_group("obs")
            made = {"text": np.array(names, dtype=object), "category": pd.Categorical(names)}
            anndata.io.write_elem(obs, "_index", made[kind])
        rows = RowNames(stored["obs"])
        assert read_index(stored["obs"]) == names
        assert (len(rows), list(rows), rows[3], rows[-1]) == (5, names, "c4", "c5")
        assert list(rows[1:4]) == names[1:4] and rows[1:4][1] == "ç3"
        assert list(rows[5:]) == []
        if kind == "0.6":
            assert column_names(stored["obs"]) == ["n"]
            assert read_column(stored["obs"], "n").tolist() == [1.0] * 5


def test_names_of_many_rows_are_never_in_memory_together(tmp_path):
    with h5py.File(tmp_path / "cells.h5ad", "w") as stored:
        anndata.io.write_elem(stored, "obs", pd.DataFrame(index=[f"cell{i:08d}" for i in range(60_000)]))
        tracemalloc.start()
        names = RowNames(stored["obs"])
        assert sum(1 for _ in names) == len(names) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # all of them take 4 MiB
        tracemalloc.stop()


LABELS = ["B cell", "T cell", "NK"]
CODES = np.array([1, -1, 0, 2], dtype=np.int8)


def write_old(path: Path, layout: str, labels: Sequence[str] | None) -> None:
    """Codes of a category as writers before anndata 0.8 put them, and their labels, if there are any."""
    text = h5py.string_dtype()
    with h5py.File(path, "w") as stored:
        if layout == "0.6":
            rows = [(f"c{i}".encode(), code, 7) for i, code in enumerate(CODES)]
            stored["obs"] = np.array(rows, dtype=[("index", "S4"), ("kind", "i1"), ("n", "i8")])
            if labels:
                stored["uns/kind_categories"] = np.array(labels, dtype="S")
            return
        obs = stored.create_group("obs")
        obs["_index"] = np.array([f"c{i}" for i in range(4)], dtype=text)
        obs["kind"] = CODES if layout == "0.7" else CODES.astype(np.int32)
        if labels:
            obs["__categories/kind"] = np.array(labels, dtype=text)
        if layout == "0.7" and labels:
            obs["kind"].attrs["categories"] = obs["__categories/kind"].ref
        elif layout == "0.7":
            obs["lost"] = np.array(LABELS, dtype=text)
            obs["kind"].attrs["categories"] = obs["lost"].ref
            del obs["lost"]


@pytest.mark.parametrize("layout", ["0.6", "0.7", "SeuratDisk"])
def test_labels_of_old_files_are_read_and_code_minus_one_is_missing(tmp_path, layout):
    write_old(tmp_path / "old.h5ad", layout, LABELS)
    with open_h5ad(tmp_path / "old.h5ad") as stored:
        kind = read_column(stored["obs"], "kind")
        assert kind.astype(object).fillna("").tolist() == ["T cell", "", "B cell", "NK"]
        if layout == "0.6":
            assert read_column(stored["obs"], "n").tolist() == [7] * 4


@pytest.mark.parametrize("layout", ["0.6", "0.7"])
def test_codes_whose_labels_are_nowhere_are_refused(tmp_path, layout):
    write_old(tmp_path / "old.h5ad", layout, None)
    with open_h5ad(tmp_path / "old.h5ad") as stored, pytest.raises(DataError, match="codes without labels"):
        read_column(stored["obs"], "kind")


@pytest.mark.parametrize("name", ["Zstd", "Blosc", "LZ4", "Bitshuffle"])
def test_compression_by_plugins_is_read(tmp_path, name):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "a.h5ad", "w") as stored:
        values = np.arange(12, dtype=np.float32).reshape(4, 3)
        stored.create_dataset("X", data=values, chunks=(2, 3), **getattr(hdf5plugin, name)())
    script = "import sys; from layerscope.cells.filters import open_compressed as open_h5ad"
    script += "; print(open_h5ad(sys.argv[1])['X'][3, 2])"
    # without what this process has loaded
    assert run_python("-c", script, tmp_path / "a.h5ad").strip() == "11.0"


def write_with_unknown_filter(group: h5py.Group, name: str, n: int) -> None:
    """A dataset of zeros that says it was compressed by a filter that nobody has."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((n,))
    layout.set_filter(479, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((n,))
    made = h5py.h5d.create(group.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, layout)
    made.write_direct_chunk((0,), b"\0" * 4 * n)


def test_an_unknown_filter_is_named_and_the_file_not_called_damaged(tmp_path):
    path = tmp_path / "a.h5ad"
    anndata.AnnData(np.eye(4, dtype=np.float32), obs=pd.DataFrame({"kind": list("abca")})).write_h5ad(path)
    with h5py.File(path, "a") as stored:
        del stored["obs"].attrs["column-order"]
        write_with_unknown_filter(stored["obs"], "score", 4)
    with open_h5ad(path) as stored:
        with pytest.raises(DataError, match=r"obs/score .*filter 479") as failure:
            read_column(stored["obs"], "score")
        assert list(readable_table(stored["obs"])[1]) == ["score"]
    assert "damaged" not in str(failure.value)
    assert "filter 479" in str(why_unreadable(path, OSError("no")))
    said = check(path, FAMILIES)
    assert "score: skipped" in said and "kind: a (2)" in said
    with h5py.File(path, "a") as stored:
        del stored["X"]
        group = stored.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (4, 4)})
        write_with_unknown_filter(group, "data", 4)
        group["indices"], group["indptr"] = np.arange(4), np.arange(5)
    for refused in (
        lambda: check(path, FAMILIES),
        lambda: prepare([path], {}, "c", tmp_path / "c.h5ad", tmp_path / "s.tsv"),
    ):
        with pytest.raises(DataError, match=r"X/data .*filter 479"):
            refused()


def test_columns_that_cannot_be_read_are_left_out_with_the_reason(tmp_path):
    with h5py.File(tmp_path / "a.h5ad", "w") as stored:
        anndata.io.write_elem(stored, "var", pd.DataFrame({"symbol": ["A", "B"]}, index=["g1", "g2"]))
        del stored["var"].attrs["column-order"]
        stored["var/nested"] = np.zeros((2, 2))
        stored["var/per/cell"] = np.zeros(2)
        table, reasons = readable_table(stored["var"])
    assert table["symbol"].tolist() == ["A", "B"]
    assert sorted(reasons) == ["nested", "per"]
