"""Counts are recovered exactly, or refused with the share that is not whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.matrix import StoredRows
from layerscope.cells.recovery import RecoveredCounts
from layerscope.errors import DataError


def recovered(values: np.ndarray, totals: np.ndarray, **how: object) -> np.ndarray:
    matrix = RecoveredCounts(StoredRows(values), totals, where="f: raw/X", **how)  # type: ignore[arg-type]
    return np.vstack([block.toarray() for _, block in matrix.blocks(np.arange(len(values)))])


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
        (1e4, [3.0, 7.3], "f: raw/X: counts cannot be recovered exactly: 50% of 4 values"),
        (1e4, [np.nan, np.nan], "100% of 4 values"),
        (1e6, TOTALS, r"adds up to 100 times .*normalised to 1e\+06, not 10000"),  # whole, yet no counts
    ],
)
def test_what_is_not_recovered_exactly_is_refused(per, totals, words):
    with pytest.raises(DataError, match=words):
        recovered(np.log1p(COUNTS / TOTALS[:, None] * per), np.array(totals))
