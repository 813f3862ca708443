import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from layerscope.statistics.ranks import WeightedSpearman
from layerscope.tasks.perturbation.influence import (
    interval,
    linear_resamples,
    ratio_interval,
    spearman_influence,
    standard_error,
)
from layerscope.tasks.perturbation.pairs import Pairs, resample


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


def estimated(random, truth, error, related, n=24):
    """Two correlations, true ones moved by the sum of what each item adds, and their influences."""
    cover = np.array([[1.0, related], [related, 1.0]])
    moves = random.multivariate_normal(np.zeros(2), cover, size=n).T * np.array(error)[:, None] / np.sqrt(n)
    values = np.tanh(np.arctanh(truth) + moves.sum(axis=1))
    centred = moves - moves.mean(axis=1, keepdims=True)
    influences = (1 - values**2)[:, None] * centred * (n - 2) / (n - 1)
    return tuple(values), tuple(influences)


@pytest.mark.parametrize("truth", [(0.0, 0.4), (0.15, 0.4), (0.4, 0.4), (0.3, 0.2), (-0.1, 0.5)])
@pytest.mark.parametrize("related", [0.0, 0.8])
def test_the_interval_of_a_ratio_holds_the_true_one_in_95_of_100_studies(truth, related):
    random = np.random.default_rng(0)
    drawn = [estimated(random, truth, (0.09, 0.05), related) for _ in range(2000)]
    found = [ratio_interval(*one) for one in drawn]
    assert sum(bounds is None for bounds in found) < 100
    inside = [low <= truth[0] / truth[1] <= high for low, high in filter(None, found)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("related", [-0.5, 0.0, 0.9])
def test_a_ratio_is_distinguishable_from_0_where_its_numerator_is(related):
    random = np.random.default_rng(1)
    signs = set()
    for truth in (-0.2, 0.0, 0.2):
        for _ in range(200):
            values, influences = estimated(random, (truth, 0.2), (0.09, 0.09), related)
            bounds, denominator = ratio_interval(values, influences), interval(values[1], influences[1])
            assert (bounds is None) == (denominator[0] <= 0)
            if bounds:
                assert np.sign(bounds).tolist() == np.sign(interval(values[0], influences[0])).tolist()
                assert bounds[0] <= values[0] / values[1] <= bounds[1]
                signs.add(tuple(np.sign(bounds)))
    assert signs == {(-1, -1), (-1, 1), (1, 1)}


def test_the_ratio_of_a_correlation_to_itself_is_hardly_in_doubt():
    _, (influence, _) = estimated(np.random.default_rng(2), (0.5, 0.5), (0.1, 0.1), 0.0)
    assert ratio_interval((0.5, 0.5), (influence, influence)) == pytest.approx((1, 1), abs=0.1)
