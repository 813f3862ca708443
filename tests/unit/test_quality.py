"""Quality control agrees with scanpy, and its table adds up."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells.quality import SUMMARY_COLUMNS, CellMetrics, Summary, filter_cells
from layerscope.cells.settings import Quality
from layerscope.tables import read_table

MITOCHONDRIAL = np.arange(30) < 4


def measured(counts: np.ndarray, blocks: int = 1) -> CellMetrics:
    metrics = CellMetrics(len(counts))
    for part in np.array_split(np.arange(len(counts)), blocks):
        metrics.measure(part, sparse.csr_matrix(counts[part]), MITOCHONDRIAL)
    return metrics


def drawn(seed: int, n_cells: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.7, 1.5, (n_cells, 30)) * rng.integers(0, 2, (n_cells, 1))).astype(float)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), blocks=st.integers(1, 6))
def test_metrics_are_those_of_scanpy_however_the_cells_are_cut(seed, blocks):
    import scanpy as sc

    counts = drawn(seed)
    cells = anndata.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame({"mt": MITOCHONDRIAL}))
    sc.pp.calculate_qc_metrics(cells, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    metrics = measured(counts, blocks)
    assert np.array_equal(metrics.n_genes, cells.obs["n_genes_by_counts"])
    assert np.array_equal(metrics.n_counts, cells.obs["total_counts"])
    np.testing.assert_allclose(metrics.mitochondrial_percent, cells.obs["pct_counts_mt"], equal_nan=True)


def test_filters_keep_what_scanpy_keeps():
    import scanpy as sc

    counts = drawn(3, n_cells=200)
    quality = Quality(min_genes_per_cell=8, min_counts_per_cell=15, max_mitochondrial_percent=20)
    summary = Summary(pd.DataFrame(index=range(200)), 30)
    filter_cells(measured(counts), quality, summary, "counts", "")
    cells = anndata.AnnData(counts, var=pd.DataFrame({"mt": MITOCHONDRIAL}))
    sc.pp.filter_cells(cells, min_genes=8)
    sc.pp.filter_cells(cells, min_counts=15)
    sc.pp.calculate_qc_metrics(cells, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    expected = cells.obs_names[cells.obs["pct_counts_mt"] <= 20].astype(int)
    assert np.flatnonzero(summary.remaining).tolist() == expected.tolist()
    assert 0 < len(expected) < 200


def test_explicit_zeros_are_not_detected_genes():
    block = sparse.csr_matrix((np.array([0.0, 2.0]), np.array([1, 3]), np.array([0, 2])), shape=(1, 30))
    metrics = CellMetrics(1)
    metrics.measure(np.array([0]), block, None)
    assert metrics.n_genes.tolist() == [1]


def test_the_table_adds_up_over_groups_and_steps(tmp_path):
    groups = pd.DataFrame({"time": ["a", "b"] * 100, "batch": ["x"] * 150 + ["y"] * 50})
    summary = Summary(groups, 30)
    summary.filter_cells("read", "none", None, np.ones(200, dtype=bool))
    quality = Quality(min_genes_per_cell=8, max_counts_per_cell=60)
    filter_cells(measured(drawn(5, 200)), quality, summary, "counts", "")
    summary.filter_genes("quality", "min_cells_per_gene", 3, 25)
    summary.write(tmp_path / "summary.tsv")
    table = read_table(tmp_path / "summary.tsv", text=("threshold",))
    assert tuple(table.columns) == SUMMARY_COLUMNS
    everything = table[table["group"] == "all"].reset_index()
    filters = ["none", "min_genes_per_cell", "max_counts_per_cell", "min_cells_per_gene"]
    assert everything["filter"].tolist() == filters
    assert (everything["cells_before"][1:].to_numpy() == everything["cells_after"][:-1].to_numpy()).all()
    for kind in ("time", "batch"):
        parts = table[table["group"].str.startswith(f"{kind}: ")]
        sums = parts.groupby("filter", sort=False)[["cells_before", "cells_after"]].sum()
        assert (sums.to_numpy() == everything[["cells_before", "cells_after"]].to_numpy()).all()
    assert everything["genes_after"].iloc[-1] == 25
    assert summary.n_genes == 25


def test_filters_that_cannot_be_applied_say_why():
    summary = Summary(pd.DataFrame(index=range(200)), 30)
    quality = Quality(min_counts_per_cell=500, max_mitochondrial_percent=5)
    filter_cells(measured(drawn(5, 200)), quality, summary, "log_normalised", "the genes have no symbols")
    assert summary.remaining.all()
    counts, mitochondrial = (row["remark"] for row in summary.rows)
    assert "not counts" in counts and "no symbols" in mitochondrial
