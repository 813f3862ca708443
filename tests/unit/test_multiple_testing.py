"""Many comparisons at once keep their promised error rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerscope.statistics.multiple_testing import holm, max_t, p_best


def drawn(truth, n_resamples=400, seed=0, correlation=0.7):
    """Estimates of correlated layers and their paired bootstrap values (standard error 1)."""
    random = np.random.default_rng(seed)
    shape = (n_resamples + 1, len(truth))
    errors = np.sqrt(correlation) * random.normal(size=(shape[0], 1))
    errors = errors + np.sqrt(1 - correlation) * random.normal(size=shape)
    estimates = np.asarray(truth) + errors[0]
    return estimates, estimates + errors[1:]


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]), ([0.02, np.nan, 0.04], [0.04, np.nan, 0.04])],
)
def test_holm_is_the_textbooks_and_passes_missing_values_by(p, adjusted):
    np.testing.assert_allclose(holm(p), adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values) - 1e-12).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values, kind="stable")]) >= -1e-12).all()


def test_simultaneous_intervals_hold_all_true_values_in_19_of_20_studies():
    truth = np.linspace(0, 1, 8)
    inside = 0
    for seed in range(300):
        tests = max_t(*drawn(truth, seed=seed))
        inside += bool(((tests.low <= truth) & (truth <= tests.high)).all())
    assert 0.92 <= inside / 300 <= 0.98


def test_of_layers_without_any_difference_one_is_told_apart_in_1_of_20_studies():
    claimed = sum(max_t(*drawn(np.zeros(12), seed=seed)).p.min() < 0.05 for seed in range(300))
    assert claimed / 300 <= 0.08


@given(st.integers(0, 1000), st.sampled_from([200, 500, 1000]))
def test_a_p_value_is_below_5_percent_where_the_interval_leaves_0_out(seed, n_resamples):
    tests = max_t(*drawn(np.linspace(-4, 4, 9), n_resamples, seed))
    np.testing.assert_array_equal(tests.p < 0.05, (tests.low > 0) | (tests.high < 0))


def test_the_best_layer_is_in_the_confidence_set_in_19_of_20_studies():
    truth = [0.0, 0.5, 1.0, 0.9, -3.0]
    sets = np.array([p_best(*drawn(truth, seed=seed)) > 0.05 for seed in range(300)])
    assert sets[:, 2].mean() >= 0.93
    assert sets[:, 4].mean() < 0.2


def test_layers_that_are_the_same_are_never_told_apart():
    estimates = np.array([0.5, 0.5, 0.1])
    values = estimates + np.random.default_rng(0).normal(scale=0.01, size=(100, 1))
    assert (p_best(estimates, values) > 0.05).tolist() == [True, True, False]
    tests = max_t(np.zeros(2), np.zeros((100, 2)))
    np.testing.assert_array_equal(tests.p, 1)


def test_the_highest_is_always_in_the_set_and_one_alone_is_the_set():
    estimates, values = drawn([0.0, 0.2, 0.1], seed=5)
    assert p_best(estimates, values)[np.argmax(estimates)] > 0.05
    assert p_best([0.3], np.full((10, 1), 0.3)).tolist() == [1]


def test_without_resamples_nothing_is_claimed():
    tests = max_t([0.5, 0.6], np.full((50, 2), np.nan))
    assert np.isnan(tests.p).all()
    assert np.isnan(p_best([0.5, 0.6], np.full((50, 2), np.nan))).all()
