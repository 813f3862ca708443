import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from layerscope.statistics.ranks import WeightedSpearman
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.tasks.perturbation.pairs import Pairs, SameModule, estimate, resample


def drawn_items(seed, items, n_resamples):
    """Items of each resample as indices."""
    counts = np.concatenate(list(bootstrap_counts(seed, items, n_resamples)))
    return [np.repeat(np.arange(len(items)), row) for row in counts]


def similarity(seed, n):
    values = np.round(np.random.default_rng(seed).normal(size=(n, n)), 1)
    return (values + values.T) / 2


def written_out(matrix, drawn):
    """The pairs of a resample one by one, without those of an item with itself."""
    first, second = np.triu_indices(len(drawn), 1)
    kept = drawn[first] != drawn[second]
    return matrix[drawn[first][kept], drawn[second][kept]]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(5, 9), seed=st.integers(0, 1000))
def test_a_resample_is_the_correlation_of_its_pairs_without_self_pairs(n, seed):
    items = [f"P{i}" for i in range(n)]
    layer, reference = similarity(seed, n), similarity(seed + 1, n)
    pairs = Pairs(n)
    statistic = WeightedSpearman(pairs.of(layer), pairs.of(reference))
    found = resample({"spearman": statistic}, items, items, seed, 30)["spearman"]
    for value, drawn in zip(found, drawn_items(seed, items, 30), strict=True):
        x, y = written_out(layer, drawn), written_out(reference, drawn)
        if x.size and np.ptp(x) > 0 and np.ptp(y) > 0:
            assert value == pytest.approx(spearmanr(x, y).statistic, abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_area_is_scikit_learns(seed):
    n = 9
    pairs = Pairs(n)
    module = np.arange(n) // 3
    same = module[pairs.first] == module[pairs.second]
    values = pairs.of(similarity(seed, n))
    statistic = SameModule(values, same)
    assert estimate(statistic, len(pairs)) == pytest.approx(roc_auc_score(same, values))
    counts = np.random.default_rng(seed).integers(0, 3, (1, len(pairs)), dtype=np.int32)
    expected = roc_auc_score(same, values, sample_weight=counts[0])
    assert statistic(counts)[0] == pytest.approx(expected)


def test_draws_do_not_depend_on_which_perturbations_a_layer_has():
    items = [f"P{i}" for i in range(8)]
    layer, reference = similarity(0, 8), similarity(1, 8)
    kept = [0, 1, 2, 4, 5, 6, 7]
    pairs = Pairs(7)
    statistic = WeightedSpearman(pairs.of(layer[np.ix_(kept, kept)]), pairs.of(reference[np.ix_(kept, kept)]))
    found = resample({"spearman": statistic}, items, [items[i] for i in kept], 5, 20)["spearman"]
    for value, drawn in zip(found, drawn_items(5, items, 20), strict=True):
        left = drawn[drawn != 3]
        x, y = written_out(layer, left), written_out(reference, left)
        assert value == pytest.approx(spearmanr(x, y).statistic, abs=1e-10)


def test_a_thousand_resamples_of_a_hundred_perturbations_take_seconds():
    items = [f"P{i}" for i in range(100)]
    pairs = Pairs(100)
    statistic = WeightedSpearman(pairs.of(similarity(0, 100)), pairs.of(similarity(1, 100)))
    start = time.perf_counter()
    found = resample({"spearman": statistic}, items, items, 0, 1000)["spearman"]
    assert time.perf_counter() - start < 10
    assert np.isfinite(found).all()
