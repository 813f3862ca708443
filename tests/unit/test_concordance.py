"""Order concordance is scipy's, stratified."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from layerscope.statistics.concordance import order_concordance

ONE = np.zeros(300, dtype=int)


def cells(n=300, noise=1.0, seed=0, n_times=3):
    random = np.random.default_rng(seed)
    time = random.integers(0, n_times, n)
    return time + noise * random.normal(size=n), time


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 8]))
@settings(max_examples=30, deadline=None)
def test_without_strata_the_numbers_are_scipys(seed, decimals):
    values, time = cells(40, seed=seed)
    values = np.round(values, decimals)
    concordance = order_concordance(values, time, np.zeros(40, dtype=int))
    assert concordance.somers_d()[0] == pytest.approx(stats.somersd(time, values).statistic, abs=1e-12)
    assert concordance.tau_b()[0] == pytest.approx(stats.kendalltau(time, values).statistic, abs=1e-12)


def test_items_of_different_strata_are_not_compared():
    values, time = cells()
    strata = np.random.default_rng(1).integers(0, 4, 300)
    values = values + 100 * np.random.default_rng(2).permutation(4)[strata]
    concordance = order_concordance(values, time, strata).somers_d()[0]
    agreeing = compared = 0
    for stratum in range(4):
        members = strata == stratum
        apart = np.sign(time[members][:, None] - time[members])
        agreeing += (apart * np.sign(values[members][:, None] - values[members])).sum()
        compared += np.abs(apart).sum()
    assert concordance == pytest.approx(agreeing / compared)
    assert abs(order_concordance(values, time, ONE).somers_d()[0] - concordance) > 0.1


def test_an_item_may_be_left_out_of_each_order():
    values = np.stack([cells(seed=seed)[0] for seed in range(3)])
    time, strata = cells()[1], np.arange(300) % 2
    concordance = order_concordance(values, time, strata, np.array([4, 17, -1]))
    for order, item in enumerate((4, 17, None)):
        kept = np.arange(300) != item
        alone = order_concordance(values[order, kept], time[kept], strata[kept])
        assert concordance.somers_d()[order] == pytest.approx(alone.somers_d()[0])
        assert concordance.tau_b()[order] == pytest.approx(alone.tau_b()[0])


def test_separated_labels_reach_1_and_infinite_values_agree_with_nothing_but_are_counted():
    values, time = cells(noise=0.01)
    separated = order_concordance(values, time, ONE)
    assert separated.somers_d()[0] == 1
    assert separated.tau_b()[0] < 0.9
    counts = np.bincount(time)
    reached = counts[0] * counts[1]
    pairs = reached + counts[2] * (counts[0] + counts[1])
    unreachable = order_concordance(np.where(time == 2, np.inf, values), time, ONE)
    assert unreachable.somers_d()[0] == pytest.approx(reached / pairs)


def test_without_two_labels_there_is_no_concordance():
    same = order_concordance(np.arange(5.0), ONE[:5], ONE[:5])
    assert np.isnan([same.somers_d(), same.tau_b()]).all()
