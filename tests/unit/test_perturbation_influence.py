import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from layerscope.perturbation.influence import (
    interval,
    linear_resamples,
    spearman_influence,
    standard_error,
)
from layerscope.perturbation.pairs import Pairs, resample
from layerscope.statistics.ranks import WeightedSpearman


def similarities(seed, n, tied, noise=1.0):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, 4))
    found = []
    for _ in range(2):
        noisy = vectors + noise * random.normal(size=vectors.shape)
        matrix = np.corrcoef(noisy)
        found.append(np.round(matrix, 1) if tied else matrix)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(5, 10), tied=st.booleans())
def test_influence_is_the_derivative_in_the_weight_of_an_item(seed, n, tied):
    pairs = Pairs(n)
    x, y = (pairs.of(matrix) for matrix in similarities(seed, n, tied))
    value, influence = spearman_influence(x, y, pairs)
    assert value == pytest.approx(spearmanr(x, y).statistic)
    weighted = WeightedSpearman(x, y)
    many = 20_000
    for item in range(n):
        weights = np.full((2, n), many, dtype=np.int64)
        weights[0, item] += 1
        weights[1, item] -= 1
        more, less = weighted(weights[:, pairs.first] * weights[:, pairs.second])
        assert influence[item] == pytest.approx((more - less) * many / 2, abs=2e-3)
    assert influence.sum() == pytest.approx(0, abs=1e-9)


@given(values=st.lists(st.floats(-100, 100), min_size=4, max_size=12))
def test_the_standard_error_of_a_mean_over_pairs_is_that_of_the_mean_of_items(values):
    items, pairs = np.array(values), Pairs(len(values))
    of_pair = items[pairs.first] + items[pairs.second]
    by_item = pairs.by_item(of_pair) / (len(items) - 1)
    influence = 2 / len(items) * (by_item - of_pair.mean())
    assert standard_error(influence) == pytest.approx(2 * items.std(ddof=1) / np.sqrt(len(items)), abs=1e-9)


def test_a_constant_vector_has_no_correlation():
    pairs = Pairs(5)
    value, influence = spearman_influence(np.ones(10), np.arange(10.0), pairs)
    assert np.isnan(value)
    assert np.isnan(influence).all()
    assert np.isnan(interval(value, influence)).all()


def test_intervals_cover_the_true_value():
    n, pairs = 24, Pairs(24)
    upper = np.triu_indices(400, 1)
    large = [similarities(seed, 400, False) for seed in range(5)]
    truth = np.mean([spearmanr(one[upper], other[upper]).statistic for one, other in large])
    covered = []
    for seed in range(300):
        x, y = (pairs.of(matrix) for matrix in similarities(1000 + seed, n, False))
        low, high = interval(*spearman_influence(x, y, pairs))
        covered.append(low <= truth <= high)
    assert 0.92 < np.mean(covered) < 0.985


def test_linear_resamples_are_the_bootstrap_to_first_order():
    n = 60
    pairs, items = Pairs(n), [f"P{i}" for i in range(n)]
    x, y = (pairs.of(matrix) for matrix in similarities(3, n, False, noise=0.3))
    value, influence = spearman_influence(x, y, pairs)
    linear = linear_resamples(value, influence, items, items, 7, 400)
    exact = resample({"s": WeightedSpearman(x, y)}, items, items, 7, 400)["s"]
    assert np.corrcoef(linear, exact)[0, 1] > 0.95
    assert linear.std() == pytest.approx(np.sqrt((influence**2).sum()), rel=0.3)
    many = linear_resamples(value, influence, items, items, 7, 4000)
    assert np.quantile(many, [0.025, 0.975]) == pytest.approx(interval(value, influence), abs=0.05)
