"""Tables of an h5ad file are read as anndata reads them, in every version of the format."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

from layerscope.cells.h5ad_file import (
    RowNames,
    column_names,
    open_h5ad,
    read_column,
    read_index,
    read_table,
)
from layerscope.errors import DataError


def test_columns_of_every_kind_come_back(tmp_path: Path) -> None:
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
def test_names_of_rows_are_read_when_asked_for_whatever_their_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("layerscope.cells.h5ad_file.NAMES_AT_ONCE", 2)
    names = ["c1", "c 2", "ç3", "c4", "c5"]
    with h5py.File(tmp_path / "cells.h5ad", "w") as stored:
        if kind == "0.6":
            stored["obs"] = np.array([(name.encode(), 1) for name in names], [("index", "S4"), ("n", "f4")])
        else:
            obs = stored.create_group("obs")
            made = {"text": np.array(names, dtype=object), "category": pd.Categorical(names)}
            anndata.io.write_elem(obs, "_index", made[kind])
        found = RowNames(stored["obs"])
        assert (len(found), list(found), found[3], found[-1]) == (5, names, "c4", "c5")
        assert list(found[1:4]) == names[1:4] and found[1:4][1] == "ç3"
        assert list(found[5:]) == []


def test_names_of_many_rows_are_never_in_memory_together(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cells.h5ad", "w") as stored:
        anndata.io.write_elem(stored, "obs", pd.DataFrame(index=[f"cell{i:08d}" for i in range(60_000)]))
        tracemalloc.start()
        names = RowNames(stored["obs"])
        assert sum(1 for _ in names) == len(names) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # all of them take 4 MiB
        tracemalloc.stop()


def test_tables_of_anndata_0_6_are_read(tmp_path: Path) -> None:
    rows = np.array(
        [(b"c1", 1.5, b"x"), (b"c2", 2.5, b"y")], dtype=[("index", "S4"), ("n", "f4"), ("s", "S4")]
    )
    with h5py.File(tmp_path / "old.h5ad", "w") as stored:
        stored["obs"] = rows
        assert column_names(stored["obs"]) == ["n", "s"]
        assert read_index(stored["obs"]) == ["c1", "c2"]
        assert read_column(stored["obs"], "s").tolist() == ["x", "y"]


def test_tables_of_anndata_0_7_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5ad", "w") as stored:
        obs = stored.create_group("obs")
        obs.attrs["_index"] = "cell"
        obs.attrs["column-order"] = np.array(["kind"], dtype=h5py.string_dtype())
        obs["cell"] = np.array(["c1", "c2", "c3"], dtype=h5py.string_dtype())
        obs["__categories/kind"] = np.array(["x", "y"], dtype=h5py.string_dtype())
        obs["kind"] = np.array([1, -1, 0], dtype=np.int8)
        obs["kind"].attrs["categories"] = obs["__categories/kind"].ref
        table = read_table(obs)
    assert list(table.index) == ["c1", "c2", "c3"]
    assert table["kind"].astype(object).where(table["kind"].notna(), "").tolist() == ["y", "", "x"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no such file"), ("cells", r"not a readable HDF5 file \(5 bytes"), ("", "0 bytes")],
)
def test_files_that_are_not_there_or_not_hdf5_are_named(
    tmp_path: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "a.h5ad").write_text(content)
    with pytest.raises(DataError, match=rf"a\.h5ad: .*{words}"):
        open_h5ad(tmp_path / "a.h5ad")
