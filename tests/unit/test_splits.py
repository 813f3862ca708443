"""Disjoint parts give the variance of a score, paired between layers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from layerscope.statistics.splits import Splits

CELLS = [f"cell{number:03d}" for number in range(60)]


def split(units=CELLS, seed=1, n_splits=20, most=1000):
    return Splits.of(units, seed, n_splits, most)


@pytest.mark.parametrize(("most", "size", "scale"), [(1000, 30, 0.5), (6, 6, np.sqrt(0.1 / 2))])
def test_parts_are_disjoint_halves_or_smaller(most, size, scale):
    splits = split(most=most)
    assert not (splits.first & splits.second).any()
    for part in (splits.first, splits.second):
        assert (part.sum(axis=1) == size).all()
    assert splits.scale == pytest.approx(scale)


def test_items_of_one_unit_stay_together():
    units = [f"clone{number // 7}" for number in range(60)]
    splits = split(units)
    for clone in set(units):
        members = np.array(units) == clone
        for part in (splits.first, splits.second):
            assert np.isin(part[:, members].sum(axis=1), [0, members.sum()]).all()


@given(st.permutations(CELLS))
@settings(max_examples=10, deadline=None)
def test_the_order_of_items_changes_nothing(shuffled):
    place = [shuffled.index(name) for name in CELLS]
    np.testing.assert_array_equal(split(shuffled).first[:, place], split().first)


def means(values, splits):
    return tuple((values * part).sum(axis=1) / part.sum(axis=1) for part in (splits.first, splits.second))


@pytest.mark.parametrize("most", [1000, 10])
def test_the_spread_is_the_standard_error_of_a_mean(most):
    splits = split(n_splits=400, most=most)
    values = 0.1 * np.random.default_rng(0).normal(size=60)
    resampled = splits.resamples(values.mean(), *means(values, splits), 4000)
    assert resampled.mean() == pytest.approx(values.mean(), abs=0.002)
    assert resampled.std() == pytest.approx(stats.sem(values), rel=0.1)


def test_intervals_from_few_splits_hold_the_truth_in_19_of_20_studies():
    random = np.random.default_rng(3)
    splits, inside = split(n_splits=10), 0
    for _ in range(600):
        values = 0.1 * random.normal(size=60)
        low, high = np.quantile(splits.resamples(values.mean(), *means(values, splits), 400), [0.025, 0.975])
        inside += low <= 0 <= high
    assert 0.93 <= inside / 600 <= 0.98


def test_layers_that_err_together_stay_together():
    splits = split(n_splits=30)
    shared = 0.1 * np.random.default_rng(0).normal(size=60)
    own = 0.01 * np.random.default_rng(1).normal(size=(2, 60))
    first, second = (splits.resamples(values.mean(), *means(values, splits), 1000) for values in shared + own)
    assert np.corrcoef(first, second)[0, 1] > 0.95


def test_values_stay_below_1():
    splits = split()
    resampled = splits.resamples(0.99, np.full(20, 0.999), np.full(20, 0.95), 500)
    assert resampled.max() < 1
    assert np.isfinite(splits.resamples(1.0, np.ones(20), np.ones(20), 5)).all()


def test_a_few_parts_without_score_are_left_out_and_many_give_no_interval():
    splits = split()
    first, second = np.random.default_rng(0).uniform(0.2, 0.4, size=(2, 20))
    first[:3] = np.nan
    assert np.isfinite(splits.resamples(0.3, first, second, 50)).all()
    first[:8] = np.nan
    assert np.isnan(splits.resamples(0.3, first, second, 50)).all()
    assert np.isnan(split(n_splits=0).resamples(0.3, [], [], 50)).all()
