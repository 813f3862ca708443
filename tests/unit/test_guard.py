"""The guard lets through what the study says, and says what it saw otherwise."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from layerscope.cells.fingerprint import Fingerprint
from layerscope.cells.guard import StreamGuard, admit, admit_unlogged, judge
from layerscope.cells.matrix import StoredRows
from layerscope.cells.which_matrix import where_counts_are
from layerscope.errors import DataError


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    mean = 0.5 * rng.lognormal(0, 1.2, (60, 80))
    return rng.negative_binomial(1, 1 / (1 + mean)).astype(np.float64) + np.eye(60, 80)


def logged(counts: np.ndarray) -> np.ndarray:
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)


def seen(values: np.ndarray) -> Fingerprint:
    return judge(StoredRows(values), np.arange(len(values)))


def test_counts_are_let_through(counts):
    assert admit(seen(counts), "counts", "f: X").startswith("raw counts: min 0")


def scaled(counts: np.ndarray) -> np.ndarray:
    return (counts - counts.mean(axis=0)) / counts.std(axis=0)


@pytest.mark.parametrize(
    ("transform", "values", "words"),
    [
        (logged, "counts", r"^f: X: .*min 0, max .*100% of.*`values: log_normalised`"),
        (logged, "normalised", "`values: log_normalised`"),
        (np.array, "log_normalised", r"raw counts.*`values: counts`"),
        (scaled, "counts", "No model"),
        (lambda counts: np.log1p(logged(counts)), "log_normalised", "No model"),
        (lambda counts: counts.astype(int).astype("S3"), "counts", "text instead of numbers"),
    ],
)
def test_other_values_are_refused(counts, transform, values, words):
    with pytest.raises(DataError, match=words):
        admit(seen(transform(counts)), values, "f: X")


def test_a_doubtful_logarithm_is_taken_at_the_studys_word():
    remark = "fits no known transformation"
    assert remark in admit(Fingerprint("perhaps_logged", 3, 3), "log_normalised", "f: X")
    with pytest.raises(DataError):
        admit(Fingerprint("perhaps_logged", 3, 3), "counts", "f: X")


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        (
            lambda counts: {"layers": {"umi": counts}},
            "layers/umi holds whole numbers: set `matrix: layers/umi`",
        ),
        (lambda counts: {"raw": {"X": counts}}, "raw/X holds whole numbers: set `matrix: raw`"),
        (
            lambda counts: {"obs": {"n_counts": counts.sum(axis=1)}},
            "Counts can be recovered exactly from X: set `matrix: X` and "
            "`recover_counts: {total: n_counts, per: 10000, logged: true}`",
        ),
        (lambda counts: {"obs": {"n_counts": counts.sum(axis=1) * 1.3 + 0.1}}, ""),
    ],
)
def test_the_remedy_says_where_the_counts_are(tmp_path, counts, more, remedy):
    anndata.AnnData(logged(counts).astype(np.float32), **more(counts)).write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad") as stored:
        assert where_counts_are(stored, "X", np.arange(60)) == remedy


@pytest.mark.parametrize(
    ("value", "values", "words"),
    [
        (-1, "counts", "negative.* -1 in gene 'g3'"),
        (0.5, "counts", r"1 of 15 values \(6.67%\).*'c12'.*whole"),
        (np.nan, "log_normalised", "not finite"),
        (np.inf, "normalised", "not finite"),
        (1e9, "counts", "above 16,777,216"),
        (31.0, "log_normalised", "for a logarithm"),
    ],
)
def test_one_bad_value_in_the_stream_is_found_and_named(value, values, words):
    block = np.ones((3, 5))
    block[2, 3] = value
    guard = StreamGuard("f: X", values, [f"c{i}" for i in range(20)], [f"g{i}" for i in range(5)])
    guard.check(np.array([0, 1, 2]), sparse.csr_matrix(np.ones((3, 5))))
    with pytest.raises(DataError, match=words):
        guard.check(np.array([10, 11, 12]), sparse.csr_matrix(block))


def test_a_model_that_takes_fractions_takes_corrected_counts_but_no_logarithms(counts):
    assert admit_unlogged(seen(counts), "f: X").startswith("raw counts")
    corrected = np.where(counts > 2, counts * 41.7, counts)
    assert "the model takes" in admit_unlogged(seen(corrected), "f: X")
    with pytest.raises(DataError, match="log-normalised"):
        admit_unlogged(seen(logged(counts)), "f: X")
