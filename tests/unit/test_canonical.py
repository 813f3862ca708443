"""Canonical cells survive the disk, are the same bytes for the same content, and refuse broken contracts."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells import canonical, csr_writer
from layerscope.cells.canonical import (
    CellsWriter,
    provenance,
    read_cells,
    read_obs,
    read_provenance,
    read_var,
    write_cells,
)
from layerscope.errors import DataError

ABOUT = {"condition": "toy", "dataset": "toy", "task": "trajectory", "values": "counts", "seed": 3}


def cells(n_cells: int = 7, n_genes: int = 5, seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(["d2", "d10", "d2"] * n_cells, categories=["d2", "d10"], ordered=True)[
                :n_cells
            ],
            "clone": ["", "c1", None, "c2"][: min(n_cells, 4)] + [""] * (n_cells - 4),
            "is_root": np.arange(n_cells) == 0,
            "reference_pseudotime": np.linspace(0, 1, n_cells),
            "true_pseudotime": np.linspace(0, 2, n_cells),
            "true_fate": ["ä"] * n_cells,
            "leiden": ["1"] * n_cells,
        },
        index=[f"cell {i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"symbol": [f"G{i}" for i in range(n_genes)]}, index=[f"g{i}" for i in range(n_genes)])
    counts = sparse.csr_matrix(rng.poisson(0.7, (n_cells, n_genes)).astype(np.float32))
    return anndata.AnnData(counts, obs=obs, var=var)


def test_cells_survive_the_disk(tmp_path: Path) -> None:
    before = cells()
    before.uns["iroot_cell"] = "cell 2"
    write_cells(tmp_path / "cells.h5ad", before, ABOUT)
    after = read_cells(tmp_path / "cells.h5ad")
    assert sparse.isspmatrix_csr(after.X)
    assert after.X.dtype == np.float32
    assert (after.X != before.X).nnz == 0
    assert list(after.obs_names) == list(before.obs_names)
    assert list(after.obs["time"].cat.categories) == ["d2", "d10"]
    assert after.obs["time"].cat.ordered
    assert list(after.obs["clone"])[:4] == ["", "c1", "", "c2"]
    assert after.obs["is_root"].dtype == bool
    assert after.uns["iroot_cell"] == "cell 2"
    assert "leiden" not in after.obs
    assert list(after.obs["true_fate"]) == ["ä"] * 7
    assert provenance(after) == ABOUT


def test_the_tables_can_be_read_without_the_matrix(tmp_path: Path) -> None:
    write_cells(tmp_path / "cells.h5ad", cells(), ABOUT)
    whole_file = read_cells(tmp_path / "cells.h5ad")
    obs = read_obs(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(obs, whole_file.obs, check_index_type=False, check_categorical=False)
    assert list(obs["time"].cat.categories) == ["d2", "d10"]
    assert list(read_var(tmp_path / "cells.h5ad")["symbol"]) == [f"G{i}" for i in range(5)]
    assert read_provenance(tmp_path / "cells.h5ad") == ABOUT


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_the_bytes_do_not_depend_on_how_the_cells_were_cut(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    patch = pytest.MonkeyPatch()
    patch.setattr(csr_writer, "CHUNK", 8)
    made = cells(n_cells=sum(sizes) + 4)
    write_cells(folder / "one.h5ad", made, ABOUT)
    with CellsWriter(folder / "many.h5ad", made.var, ABOUT) as writer:
        start = 0
        for size in [*sizes, 4]:
            writer.append(made.X[start : start + size])
            start += size
        writer.finish(made.obs)
    patch.undo()
    assert (folder / "one.h5ad").read_bytes() == (folder / "many.h5ad").read_bytes()


def test_unsorted_and_doubled_entries_are_put_in_order(tmp_path: Path) -> None:
    made = cells(n_cells=4)
    untidy = sparse.csr_matrix(made.X)
    untidy.indices = untidy.indices.copy()
    first = slice(untidy.indptr[0], untidy.indptr[1])
    untidy.indices[first], untidy.data[first] = untidy.indices[first][::-1], untidy.data[first][::-1]
    untidy.has_sorted_indices = False
    write_cells(tmp_path / "tidy.h5ad", made, ABOUT)
    write_cells(tmp_path / "untidy.h5ad", anndata.AnnData(untidy, obs=made.obs, var=made.var), ABOUT)
    assert (tmp_path / "tidy.h5ad").read_bytes() == (tmp_path / "untidy.h5ad").read_bytes()


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "whole numbers, found 0.5"), (-1, "negative"), (np.nan, "not finite"), (np.inf, "not finite")],
)
def test_values_that_are_no_counts_are_refused(tmp_path: Path, value: float, words: str) -> None:
    made = cells()
    made.X.data[1] = value
    with pytest.raises(DataError, match=words):
        write_cells(tmp_path / "cells.h5ad", made, ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_log_normalised_values_need_not_be_whole(tmp_path: Path) -> None:
    made = cells()
    made.X.data[1] = 0.5
    write_cells(tmp_path / "cells.h5ad", made, {**ABOUT, "values": "log_normalised"})
    assert 0.5 in read_cells(tmp_path / "cells.h5ad").X.data


def test_other_kinds_of_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="counts or log_normalised"):
        write_cells(tmp_path / "cells.h5ad", cells(), {**ABOUT, "values": "scaled"})


def test_names_that_repeat_are_refused(tmp_path: Path) -> None:
    made = cells()
    made.obs_names = ["a", "a", *made.obs_names[2:]]
    with pytest.raises(DataError, match="cell ids must be unique; 1 repeat, such as a"):
        write_cells(tmp_path / "cells.h5ad", made, ABOUT)


def test_time_without_order_is_refused(tmp_path: Path) -> None:
    made = cells()
    made.obs["time"] = made.obs["time"].astype(str)
    with pytest.raises(DataError, match="ordered categorical"):
        write_cells(tmp_path / "cells.h5ad", made, ABOUT)


def test_an_unknown_root_cell_is_refused(tmp_path: Path) -> None:
    made = cells()
    made.uns["iroot_cell"] = "nobody"
    with pytest.raises(DataError, match="root cell 'nobody'"):
        write_cells(tmp_path / "cells.h5ad", made, ABOUT)


def test_a_file_of_another_kind_says_how_to_make_canonical_cells(tmp_path: Path) -> None:
    cells().write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(DataError, match=r"prepare_cells\.py"):
        read_cells(tmp_path / "other.h5ad")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    write_cells(tmp_path / "cells.h5ad", cells(), ABOUT)
    content = (tmp_path / "cells.h5ad").read_bytes()
    (tmp_path / "short.h5ad").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"short\.h5ad: not a readable HDF5 file"):
        read_cells(tmp_path / "short.h5ad")
    with pytest.raises(DataError, match=r"absent\.h5ad: no such file"):
        read_obs(tmp_path / "absent.h5ad")


def test_standard_columns_are_complete() -> None:
    assert set(canonical.TEXT_COLUMNS) | set(canonical.FLAG_COLUMNS) < set(canonical.STANDARD_COLUMNS)
