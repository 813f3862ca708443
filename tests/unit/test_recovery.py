"""Counts are recovered exactly, or refused with the share that is not whole."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from layerscope.cells.h5ad_file import read_column
from layerscope.cells.matrix import StoredRows, stored_rows
from layerscope.cells.recovery import RecoveredCounts, decimals_of, undo
from layerscope.cells.settings import Recovery
from layerscope.errors import DataError
from scanpy_cells import pbmc68k


def recovered(values: np.ndarray, totals: np.ndarray, **how: object) -> np.ndarray:
    matrix = RecoveredCounts(StoredRows(values), totals, Recovery.read(how), "f: raw/X")
    return np.vstack([block.toarray() for _, block in matrix.blocks(np.arange(len(values)))])


def normalised(counts: np.ndarray, per: float, logged: bool = True) -> np.ndarray:
    values = counts / counts.sum(axis=1, keepdims=True) * per
    return np.log1p(values) if logged else values


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 999), per=st.sampled_from([1e3, 1e4, 1e6]), largest=st.sampled_from([3, 500, 40_000])
)
def test_single_precision_logarithms_give_the_counts_back(seed, per, largest):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, largest, (9, 12)).astype(np.float64)
    counts[:, 0] = 1
    total = counts.sum(axis=1)
    values = np.log1p((counts / total[:, None] * per).astype(np.float32))
    assert np.array_equal(recovered(values, total, per=per), counts)


COUNTS = np.array([[1.0, 2, 0], [3, 0, 4]])
TOTALS = COUNTS.sum(axis=1)


def test_values_that_were_never_logged_can_be_undone_too():
    values = COUNTS / TOTALS[:, None] * 100
    assert np.array_equal(recovered(values, TOTALS, per=100, logged=False), COUNTS)


def test_genes_may_have_been_left_out_after_normalisation():
    values = np.log1p(COUNTS / TOTALS[:, None] * 1e4)
    assert np.array_equal(recovered(values[:, :2], TOTALS), COUNTS[:, :2])


@pytest.mark.parametrize(
    ("per", "totals", "words"),
    [
        (1e4, [3.0, 7.3], "f: raw/X: .*50% of 4 values"),
        (1e4, [np.nan, np.nan], "100% of 4 values"),
        (1e6, TOTALS, r"adds up to 100 times .*normalised to 1e\+06, not 10000"),  # whole, yet no counts
    ],
)
def test_what_is_not_recovered_exactly_is_refused(per, totals, words):
    with pytest.raises(DataError, match=words):
        recovered(np.log1p(COUNTS / TOTALS[:, None] * per), np.array(totals))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("per", "logged", "decimals", "largest"),
    [(1e4, True, 3, 60), (1e4, True, 4, 600), (1e3, True, 3, 60), (1e6, True, 4, 60), (1e4, False, 2, 300)],
)
def test_rounded_values_give_the_counts_back(per, logged, decimals, largest, kind):
    counts = np.random.default_rng(1).integers(0, largest, (40, 50)).astype(np.float64)
    values = np.round(normalised(counts, per, logged), decimals).astype(kind)
    how = {"per": per, "logged": logged}
    assert decimals_of(values[values > 0]) == decimals
    assert np.array_equal(recovered(values, counts.sum(axis=1), decimals=decimals, **how), counts)
    with pytest.raises(DataError, match="not whole numbers"):
        recovered(values, counts.sum(axis=1), **how)


def test_the_tolerance_of_a_value_is_what_its_own_rounding_can_have_moved():
    # a count of 20 in a cell of 1,000 is log1p(200) = 5.3033: to 3 decimals, 5.303, 0.006 short of 20
    values, totals = np.array([[5.303, 2.398]]), np.array([1000.0])  # 2.398: log1p(10) = 2.3979
    matrix = sparse.csr_matrix(values)
    raw, tolerance, rounding = undo(matrix, totals, Recovery(decimals=3))
    assert np.allclose(raw, [19.9937, 1.0001], atol=1e-4)
    assert np.allclose(rounding, [0.0005 * 0.1 * 201, 0.0005 * 0.1 * 11], rtol=1e-2)
    assert (tolerance - rounding < 1.1e-3).all()
    assert undo(matrix, totals, Recovery())[2].tolist() == [0, 0]
    # one thousandth further than rounding explains is refused
    assert recovered(values, totals, decimals=3).tolist() == [[20, 1]]
    with pytest.raises(DataError, match="50% of 2"):
        recovered(np.array([[5.302, 2.398]]), totals, decimals=3)


def test_a_value_of_which_rounding_leaves_two_counts_possible_is_refused():
    totals = np.array([1000.0])
    value = {count: np.round(np.log1p(count * 10.0), 3) for count in (900, 1100)}  # half a count is at 1,000
    assert recovered(np.array([[value[900]]]), totals, decimals=3).tolist() == [[900]]
    with pytest.raises(DataError, match=r"3 decimals .*100% of the"):
        recovered(np.array([[value[1100]]]), np.array([1100.0]) / 1.1, decimals=3)


@pytest.mark.parametrize(
    ("made", "decimals", "words"),
    [
        (3, 2, "more than 2 decimals"),  # too few are said
        (None, 3, "more than 3 decimals"),  # never rounded
        (3, 4, "are not whole numbers"),  # too many are said: the tolerance is that of finer values
    ],
)
def test_decimals_that_the_values_do_not_have_are_refused(made, decimals, words):
    counts = np.random.default_rng(2).integers(0, 60, (40, 50)).astype(np.float64)
    values = normalised(counts, 1e4)
    values = values if made is None else np.round(values, made)
    with pytest.raises(DataError, match=words):
        recovered(values.astype(np.float32), counts.sum(axis=1), decimals=decimals)


def test_values_that_are_no_counts_stay_refused_though_they_are_rounded():
    rng = np.random.default_rng(3)
    values = np.round(rng.uniform(0, 6, (40, 50)), 3)
    with pytest.raises(DataError, match="recovered exactly"):
        recovered(values, np.full(40, 3000.0), decimals=3)


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        ([0.25, 1.5, 2.125], 3),
        ([0.5, 1.5, 2.0], 1),
        ([0.2512345, 1.5], None),
        ([1234.5, 1234567.8], None),  # single precision is too coarse there to tell
    ],
)
def test_decimals_are_told_where_all_values_have_them(values, decimals):
    assert decimals_of(np.array(values, dtype=np.float32)) == decimals


def test_the_counts_of_real_cells_are_recovered_from_values_of_three_decimals():
    with h5py.File(pbmc68k()) as file:
        totals = read_column(file["obs"], "n_counts").to_numpy(dtype=np.float64)
        matrix = stored_rows(file["raw.X"])
        how, rows = Recovery(decimals=3), np.arange(700)
        ((_, block),) = matrix.blocks(rows)
        ((_, counts),) = RecoveredCounts(matrix, totals, how).blocks(rows)
    raw, _, rounding = undo(block, totals, how)
    assert counts.shape == (700, 765)
    assert counts.data.min() == 1
    assert counts.data.max() == 259
    assert np.abs(raw - counts.data).max() == pytest.approx(0.0815, abs=1e-4)
    assert rounding.max() == pytest.approx(0.13, abs=1e-3)
