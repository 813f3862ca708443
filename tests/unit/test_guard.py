"""The guard lets through what the study says, and says what it saw otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from layerscope.cells.fingerprint import Fingerprint
from layerscope.cells.guard import StreamGuard, admit, admit_unlogged, judge, where_counts_are, words
from layerscope.cells.matrix import StoredRows
from layerscope.errors import DataError


@pytest.fixture
def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    mean = 0.5 * rng.lognormal(0, 1.2, (60, 80))
    return rng.negative_binomial(1, 1 / (1 + mean)).astype(np.float64) + np.eye(60, 80)


def logged(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def seen(values: np.ndarray) -> Fingerprint:
    return judge(StoredRows(values), np.arange(len(values)))


def test_counts_are_let_through(counts: np.ndarray) -> None:
    assert admit(seen(counts), "counts", "f: X").startswith("raw counts: min 0")


@pytest.mark.parametrize("values", ["counts", "normalised"])
def test_logged_values_are_refused_with_what_was_seen(counts: np.ndarray, values: str) -> None:
    expected = f"^f: X: .*values: {values}`.* log-normalised .*min 0, max .*100% of.*`values: log_normalised`"
    with pytest.raises(DataError, match=expected):
        admit(seen(logged(counts)), values, "f: X")


def test_counts_are_refused_where_logged_values_are_promised(counts: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"raw counts.*`values: counts`"):
        admit(seen(counts), "log_normalised", "f: X")


def test_what_no_model_can_use_is_refused_for_good(counts: np.ndarray) -> None:
    scaled = (counts - counts.mean(axis=0)) / counts.std(axis=0)
    for made in (scaled, np.log1p(logged(counts)), np.log2(1 + np.expm1(logged(counts)))):
        for values in ("counts", "log_normalised", "normalised"):
            with pytest.raises(DataError, match="No model can use such values"):
                admit(seen(made), values, "f: X")


def test_a_doubtful_logarithm_is_taken_at_the_studys_word() -> None:
    remark = "fits no known transformation"
    assert remark in admit(Fingerprint("perhaps_logged", 3, 3), "log_normalised", "f: X")
    with pytest.raises(DataError):
        admit(Fingerprint("perhaps_logged", 3, 3), "counts", "f: X")


def test_text_is_refused_unread() -> None:
    with pytest.raises(DataError, match="text instead of numbers"):
        admit(seen(np.array([["3", "0"], ["1", "2"]], dtype="S1")), "counts", "f: X")


def test_counts_per_million_are_named() -> None:
    assert "(counts per million)" in words(Fingerprint("normalised", total=1e6))
    assert "(10,000 per cell)" in words(Fingerprint("normalised", total=1e4))


Fill = Callable[[anndata.AnnData, np.ndarray], None]


def _in_a_layer(cells: anndata.AnnData, counts: np.ndarray) -> None:
    cells.layers["umi"] = sparse.csr_matrix(counts)


def _in_raw(cells: anndata.AnnData, counts: np.ndarray) -> None:
    cells.raw = anndata.AnnData(sparse.csr_matrix(counts))


def _recoverable(cells: anndata.AnnData, counts: np.ndarray) -> None:
    cells.obs["n_counts"] = counts.sum(axis=1)


def _nowhere(cells: anndata.AnnData, counts: np.ndarray) -> None:
    cells.obs["n_counts"] = counts.sum(axis=1) * 1.3 + 0.1


@pytest.mark.parametrize(
    ("fill", "remedy"),
    [
        (_in_a_layer, "layers/umi holds whole numbers: set `matrix: layers/umi`"),
        (_in_raw, "raw/X holds whole numbers: set `matrix: raw`"),
        (
            _recoverable,
            "Counts can be recovered exactly from X: set `matrix: X` and "
            "`recover_counts: {total: n_counts, per: 10000, logged: true}`",
        ),
        (_nowhere, ""),
    ],
)
def test_the_remedy_says_where_the_counts_are(
    tmp_path: Path, counts: np.ndarray, fill: Fill, remedy: str
) -> None:
    cells = anndata.AnnData(logged(counts).astype(np.float32), obs=pd.DataFrame(index=map(str, range(60))))
    fill(cells, counts)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as stored:
        assert where_counts_are(stored, "X", np.arange(60)) == remedy


@pytest.mark.parametrize(
    ("value", "values", "words"),
    [
        (-1, "counts", r"are negative; the first is -1 in gene 'g3'"),
        (0.5, "counts", r"1 of 15 values \(6.67%\) from cell 'c12' on are not whole numbers"),
        (np.nan, "log_normalised", "are not finite numbers"),
        (np.inf, "normalised", "are not finite numbers"),
        (1e9, "counts", "above 16,777,216, and no count is"),
        (31.0, "log_normalised", "too large for a logarithm"),
    ],
)
def test_one_bad_value_in_the_stream_is_found_and_named(value: float, values: str, words: str) -> None:
    block = np.ones((3, 5))
    block[2, 3] = value
    guard = StreamGuard("f: X", values, [f"c{i}" for i in range(20)], [f"g{i}" for i in range(5)])
    guard.check(np.array([0, 1, 2]), sparse.csr_matrix(np.ones((3, 5))))
    with pytest.raises(DataError, match=words):
        guard.check(np.array([10, 11, 12]), sparse.csr_matrix(block))


def test_a_model_that_takes_fractions_takes_corrected_counts_but_no_logarithms(counts: np.ndarray) -> None:
    assert admit_unlogged(seen(counts), "f: X").startswith("raw counts: min 0, max")
    corrected = np.where(counts > 2, counts * 41.7, counts)
    assert "which the model takes" in admit_unlogged(seen(corrected), "f: X")
    with pytest.raises(DataError, match="log-normalised"):
        admit_unlogged(seen(logged(counts)), "f: X")
