"""Rank correlations are scipy's, also under resampling weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from layerscope.statistics.ranks import WeightedSpearman, average_ranks, pearson, spearman, spearman_by_row


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(deadline=None)
def test_the_correlation_is_scipys(seed, tied):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, 30))
    if tied:
        x = np.round(x)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 9]))
@settings(deadline=None)
def test_a_resample_given_as_counts_is_the_resample_written_out(seed, decimals):
    random = np.random.default_rng(seed)
    x, y = np.round(random.normal(size=(2, 20)), decimals)
    counts = random.multinomial(20, np.full(20, 1 / 20), size=5)
    correlations = WeightedSpearman(x, y)(counts)
    for value, row in zip(correlations, counts, strict=True):
        drawn = np.repeat(np.arange(20), row)
        assert value == pytest.approx(spearman(x[drawn], y[drawn]), abs=1e-12, nan_ok=True)


def test_a_constant_vector_has_no_correlation():
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert np.isnan(pearson([1, 1, 1], [1, 2, 3]))
    assert np.isnan(WeightedSpearman(np.ones(4), np.arange(4))(np.ones((1, 4), dtype=int))).all()


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_rows_are_correlated_where_both_are_finite(seed):
    random = np.random.default_rng(seed)
    rows, target = np.round(random.normal(size=(4, 25)), 1), random.normal(size=25)
    rows[random.random(rows.shape) < 0.2] = np.inf
    target[random.random(25) < 0.2] = np.nan
    rows[3] = 1
    for correlation, row in zip(spearman_by_row(rows, target), rows, strict=True):
        both = np.isfinite(row) & np.isfinite(target)
        assert correlation == pytest.approx(spearman(row[both], target[both]), abs=1e-12, nan_ok=True)


def test_ranks_are_scipys_row_by_row():
    values = np.random.default_rng(1).integers(0, 9, size=(50, 30))
    np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values, axis=1))
