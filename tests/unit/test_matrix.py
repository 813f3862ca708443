"""Rows come the same from every layout, in any selection, whatever the budget."""

import io

import h5py
import numpy as np
import pytest
from anndata.io import write_elem
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells import matrix
from layerscope.cells.matrix import StoredRows, sample_rows, stored_rows
from layerscope.errors import DataError


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 30), n_columns=st.integers(1, 8), seed=st.integers(0, 99), budget=st.integers(1, 60)
)
def test_every_layout_gives_the_same_rows(n_rows, n_columns, seed, budget):
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.6, (n_rows, n_columns)).astype(np.float32)
    rows = np.flatnonzero(rng.random(n_rows) < 0.6)
    with pytest.MonkeyPatch.context() as patch, h5py.File(io.BytesIO(), "w") as file:
        for name in ("ENTRIES_AT_ONCE", "ENTRIES_REORDERED_AT_ONCE"):
            patch.setattr(matrix, name, budget)
        for name, layout in (("csr", sparse.csr_matrix), ("csc", sparse.csc_matrix), ("dense", np.asarray)):
            write_elem(file, name, layout(values))
            blocks = list(stored_rows(file[name]).blocks(rows))
            assert np.concatenate([part for part, _ in blocks] or [rows]).tolist() == rows.tolist()
            read = [block.toarray() for _, block in blocks]
            assert np.array_equal(np.concatenate(read) if read else values[rows], values[rows])
            assert all(len(part) == 1 or block.nnz <= budget for part, block in blocks)
            if len(rows) and name != "csc":
                without_gaps = StoredRows(file[name], values.shape, read_over=budget // 10).read(rows)
                assert np.array_equal(without_gaps.toarray(), values[rows])


def test_the_oldest_sparse_layout_can_be_read(tmp_path):
    values = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    with h5py.File(tmp_path / "old.h5ad", "w") as stored:
        group = stored.create_group("X")
        group.attrs.update({"h5sparse_format": b"csr", "h5sparse_shape": (3, 3)})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(values, name)
        ((_, block),) = stored_rows(group).blocks(np.arange(3))
        assert np.array_equal(block.toarray(), np.eye(3))


@pytest.mark.parametrize("layout", ["csr_matrix", "csc_matrix", "dense"])
def test_half_precision_is_computed_in_single(layout):
    with h5py.File(io.BytesIO(), "w") as file:
        write_elem(file, "X", getattr(sparse, layout, np.asarray)(np.full((2, 3), 1.5, dtype=np.float32)))
        name = "X" if layout == "dense" else "X/data"
        halves = file[name][()].astype(np.float16)
        del file[name]
        file[name] = halves
        ((_, block),) = stored_rows(file["X"]).blocks(np.arange(2))
        assert block.dtype == np.float32 and (block.toarray() == 1.5).all()


@pytest.mark.parametrize(
    ("starts", "columns", "words"),
    [
        ([1, 2, 4], [0, 1, 0, 1], "damaged: 2 rows and 4 entries"),
        ([0, 4, 2], [0, 1, 0, 1], "damaged: 2 rows and 4 entries.* row 1 "),
        ([0, 5, 5], [0, 1, 0, 1], "damaged: 2 rows and 4 entries.* rows 0-1 "),
        ([0, 2, 4], [-1, 1, 0, 7], "it has 2 columns, and entries of column -1, in rows 0-1 "),
        ([0, 2, 4], [0, 2**32 + 1, 0, 1], f"entries of column {2**32 + 1}, in row 0 "),
    ],
)
def test_a_damaged_matrix_is_refused(starts, columns, words):
    with h5py.File(io.BytesIO(), "w") as file:
        file.update({"indptr": starts, "indices": columns, "data": np.ones(4)})
        with pytest.raises(DataError, match=words):
            list(StoredRows(file, (2, 2)).blocks(np.arange(2)))


def test_what_is_no_matrix_is_named(tmp_path):
    with h5py.File(tmp_path / "odd.h5ad", "w") as file:
        file["X"] = np.ones(3)
        with pytest.raises(DataError, match=r"odd\.h5ad: X: expected"):
            stored_rows(file["X"])
        file.create_group("Y").attrs["encoding-type"] = "dict"
        with pytest.raises(DataError, match="found 'dict'"):
            stored_rows(file["Y"])


@settings(deadline=None)
@given(n_rows=st.integers(0, 5000), size=st.integers(1, 500))
def test_a_sample_is_spread_over_all_rows(n_rows, size):
    rows = sample_rows(n_rows, size)
    assert len(rows) <= size
    assert np.all(np.diff(rows) > 0)
    if n_rows and size > 1:
        assert (rows[0], rows[-1]) == (0, n_rows - 1)
