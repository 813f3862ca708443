import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tasks.perturbation.influence import (
    Estimate,
    RankedPairs,
    interval,
    linear_resamples,
    ratio_interval,
    spearman_influence,
    standard_error,
)
from layerscope.tasks.perturbation.pairs import Draws, Pairs, resample


def similarities(seed, n, tied=False, noise=1.0):
    """Similarities of the pairs of ``n`` items in two noisy views of the same vectors."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, 4))
    views = [np.corrcoef(vectors + noise * random.normal(size=vectors.shape)) for _ in range(2)]
    return [Pairs(n).of(np.round(matrix, 1) if tied else matrix) for matrix in views]


def estimate(x, y, n):
    return spearman_influence(RankedPairs(x), RankedPairs(y), n)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(5, 10), tied=st.booleans())
def test_influence_is_the_derivative_in_the_weight_of_an_item(seed, n, tied):
    pairs, (x, y) = Pairs(n), similarities(seed, n, tied)
    score = estimate(x, y, n)
    assert score.value == pytest.approx(spearmanr(x, y).statistic)
    weighted = WeightedSpearman(x, y)
    many = 20_000
    for item in range(n):
        weights = np.full((2, n), many, dtype=np.int64)
        weights[0, item] += 1
        weights[1, item] -= 1
        more, less = weighted(weights[:, pairs.first] * weights[:, pairs.second])
        assert score.influence[item] == pytest.approx((more - less) * many / 2, abs=2e-3)
    assert score.influence.sum() == pytest.approx(0, abs=1e-9)


@given(values=st.lists(st.floats(-100, 100), min_size=4, max_size=12))
def test_the_standard_error_of_a_mean_over_pairs_is_that_of_the_mean_of_items(values):
    items, pairs = np.array(values), Pairs(len(values))
    matrix = items[:, None] + items
    np.fill_diagonal(matrix, 0)
    by_item = matrix.sum(axis=0) / (len(items) - 1)
    influence = 2 / len(items) * (by_item - pairs.of(matrix).mean())
    assert standard_error(influence) == pytest.approx(2 * items.std(ddof=1) / np.sqrt(len(items)), abs=1e-9)


def test_a_constant_vector_has_no_correlation():
    score = estimate(np.ones(10), np.arange(10.0), 5)
    assert np.isnan([score.value, *score.influence, *interval(score)]).all()


def test_intervals_cover_the_true_value():
    truth = np.mean([spearmanr(*similarities(seed, 400)).statistic for seed in range(5)])
    intervals = [interval(estimate(*similarities(1000 + seed, 24), 24)) for seed in range(300)]
    assert 0.92 < np.mean([low <= truth <= high for low, high in intervals]) < 0.985


def test_linear_resamples_are_the_bootstrap_to_first_order():
    n = 60
    items, (x, y) = [f"P{i}" for i in range(n)], similarities(3, n, noise=0.3)
    score = estimate(x, y, n)
    draws = Draws(items, items, 7, 4000, 1)
    linear = linear_resamples(score, draws)
    exact = resample({"s": WeightedSpearman(x, y)}, Draws(items, items, 7, 400, 1))["s"]
    assert np.corrcoef(linear[:400], exact)[0, 1] > 0.95
    assert linear.std() == pytest.approx(np.sqrt((score.influence**2).sum()), rel=0.3)
    assert np.quantile(linear, [0.025, 0.975]) == pytest.approx(interval(score), abs=0.05)


def two_estimates(random, truth, error, related, n=24):
    """Two correlations: the true ones moved by the sum of what each item adds, and their influences."""
    cover = np.array([[1.0, related], [related, 1.0]])
    moves = random.multivariate_normal(np.zeros(2), cover, size=n).T * np.array(error)[:, None] / np.sqrt(n)
    values = np.tanh(np.arctanh(truth) + moves.sum(axis=1))
    centred = moves - moves.mean(axis=1, keepdims=True)
    influences = (1 - values**2)[:, None] * centred * (n - 2) / (n - 1)
    return [Estimate(*parts) for parts in zip(values, influences, strict=True)]


@pytest.mark.parametrize("truth", [(0.0, 0.4), (0.15, 0.4), (0.4, 0.4), (0.3, 0.2), (-0.1, 0.5)])
@pytest.mark.parametrize("related", [0.0, 0.8])
def test_the_interval_of_a_ratio_holds_the_true_one_in_95_of_100_studies(truth, related):
    random = np.random.default_rng(0)
    drawn = [two_estimates(random, truth, (0.09, 0.05), related) for _ in range(2000)]
    intervals = [ratio_interval(*estimates) for estimates in drawn]
    assert sum(bounds is None for bounds in intervals) < 100
    inside = [low <= truth[0] / truth[1] <= high for low, high in filter(None, intervals)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("related", [-0.5, 0.0, 0.9])
def test_a_ratio_is_distinguishable_from_0_where_its_numerator_is(related):
    random = np.random.default_rng(1)
    signs = set()
    for truth in np.repeat([-0.2, 0.0, 0.2], 200):
        numerator, denominator = two_estimates(random, (truth, 0.2), (0.09, 0.09), related)
        bounds = ratio_interval(numerator, denominator)
        assert (bounds is None) == (interval(denominator)[0] <= 0)
        if bounds:
            assert np.sign(bounds).tolist() == np.sign(interval(numerator)).tolist()
            assert bounds[0] <= numerator.value / denominator.value <= bounds[1]
            signs.add(tuple(np.sign(bounds)))
    assert signs == {(-1, -1), (-1, 1), (1, 1)}


def test_the_ratio_of_a_correlation_to_itself_is_hardly_in_doubt():
    same, _ = two_estimates(np.random.default_rng(2), (0.5, 0.5), (0.1, 0.1), 0.0)
    assert ratio_interval(same, same) == pytest.approx((1, 1), abs=0.1)
