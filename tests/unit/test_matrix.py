"""Rows come the same from every layout, in any selection, whatever the budget."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells.matrix import CsrRows, DenseRows, RowMatrix, csc_rows, sample_rows, stored_rows
from layerscope.errors import DataError


def layouts(values: np.ndarray, budget: int) -> list[RowMatrix]:
    csr, csc = sparse.csr_matrix(values), sparse.csc_matrix(values)
    return [
        CsrRows(csr.data, csr.indices, csr.indptr, values.shape, budget),
        DenseRows(values, budget),
        csc_rows(csc.data, csc.indices, csc.indptr, values.shape),
    ]


@settings(max_examples=40, deadline=None)
@given(
    n_rows=st.integers(1, 30), n_columns=st.integers(1, 8), seed=st.integers(0, 99), budget=st.integers(1, 60)
)
def test_every_layout_gives_the_same_rows(n_rows: int, n_columns: int, seed: int, budget: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.6, (n_rows, n_columns)).astype(np.float32)
    rows = np.flatnonzero(rng.random(n_rows) < 0.6)
    for matrix in layouts(values, budget):
        blocks = list(matrix.blocks(rows))
        assert np.concatenate([part for part, _ in blocks] or [rows]).tolist() == rows.tolist()
        found = [block.toarray() for _, block in blocks]
        assert np.array_equal(np.concatenate(found) if found else values[rows], values[rows])


def test_a_block_stays_within_the_budget() -> None:
    values = np.ones((100, 7), dtype=np.float32)
    for matrix in layouts(values, budget=50)[:2]:
        assert max(block.nnz for _, block in matrix.blocks(np.arange(100))) <= 50


@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_matrices_that_anndata_wrote_can_be_read(tmp_path: Path, layout: type) -> None:
    values = np.random.default_rng(0).poisson(1, (9, 4)).astype(np.float32)
    anndata.AnnData(layout(values)).write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as stored:
        matrix = stored_rows(stored["X"])
        assert matrix.shape == (9, 4)
        assert np.array_equal(np.vstack([b.toarray() for _, b in matrix.blocks(np.arange(9))]), values)


def test_the_oldest_sparse_layout_can_be_read(tmp_path: Path) -> None:
    values = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    with h5py.File(tmp_path / "old.h5ad", "w") as stored:
        group = stored.create_group("X")
        group.attrs.update({"h5sparse_format": b"csr", "h5sparse_shape": (3, 3)})
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(values, name)
        ((_, block),) = stored_rows(group).blocks(np.arange(3))
        assert np.array_equal(block.toarray(), np.eye(3))


def test_half_precision_is_computed_in_single() -> None:
    ((_, block),) = DenseRows(np.full((2, 3), 1.5, dtype=np.float16)).blocks(np.arange(2))
    assert block.dtype == np.float32


def test_a_damaged_matrix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="damaged: 4 rows and 2 entries"):
        CsrRows(np.ones(2), np.zeros(2, dtype=int), np.array([0, 2]), (4, 2))
    with pytest.raises(DataError, match="damaged: 2 rows and 4 entries"):
        CsrRows(np.ones(4), np.zeros(4, dtype=int), np.array([0, 4, 2]), (2, 2))
    with pytest.raises(DataError, match="it has 2 columns, and entries of column 7"):
        list(CsrRows(np.ones(1), np.array([7]), np.array([0, 1]), (1, 2)).blocks(np.arange(1)))
    with h5py.File(tmp_path / "odd.h5ad", "w") as stored:
        stored["X"] = np.ones(3)
        with pytest.raises(DataError, match=r"odd\.h5ad: X: expected a matrix of cells x genes"):
            stored_rows(stored["X"])
        stored.create_group("Y").attrs["encoding-type"] = "dict"
        with pytest.raises(DataError, match="expected a dense, CSR or CSC matrix, found 'dict'"):
            stored_rows(stored["Y"])


@settings(deadline=None)
@given(n_rows=st.integers(0, 5000), size=st.integers(1, 500))
def test_a_sample_is_spread_over_all_rows(n_rows: int, size: int) -> None:
    rows = sample_rows(n_rows, size)
    assert len(rows) <= size
    assert np.all(np.diff(rows) > 0)
    if n_rows and size > 1:
        assert (rows[0], rows[-1]) == (0, n_rows - 1)
