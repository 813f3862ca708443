import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from layerscope.statistics.ranks import WeightedSpearman
from layerscope.statistics.resampling import bootstrap_counts
from layerscope.tasks.perturbation.pairs import Draws, Pairs, SameModule, of_all_pairs, resample


def similarity(seed, n):
    values = np.round(np.random.default_rng(seed).normal(size=(n, n)), 1)
    return (values + values.T) / 2


@settings(max_examples=20, deadline=None)
@given(n=st.integers(5, 9), seed=st.integers(0, 1000), missing=st.booleans())
def test_a_resample_is_the_correlation_of_its_pairs_without_self_pairs(n, seed, missing):
    """Written out pair by pair; the draws are of all items, also where a layer lacks one."""
    items, used = [f"P{i}" for i in range(n)], np.delete(np.arange(n), [3] if missing else [])
    layer, reference = similarity(seed, n), similarity(seed + 1, n)
    pairs = Pairs(len(used))
    x, y = (pairs.of(matrix[np.ix_(used, used)]) for matrix in (layer, reference))
    draws = Draws(items, [items[i] for i in used], seed, 30, 1)
    values = resample({"spearman": WeightedSpearman(x, y)}, draws)["spearman"]
    (counts,) = bootstrap_counts(seed, items, 30)
    for value, count in zip(values, counts, strict=True):
        drawn = np.repeat(used, count[used])
        first, second = (drawn[index] for index in np.triu_indices(len(drawn), 1))
        different = first != second
        x, y = (matrix[first[different], second[different]] for matrix in (layer, reference))
        if x.size and np.ptp(x) > 0 and np.ptp(y) > 0:
            assert value == pytest.approx(spearmanr(x, y).statistic, abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_area_is_scikit_learns(seed):
    pairs = Pairs(9)
    module = np.arange(9) // 3
    same = module[pairs.first] == module[pairs.second]
    values = pairs.of(similarity(seed, 9))
    statistic = SameModule(values, same)
    assert of_all_pairs(statistic, pairs) == pytest.approx(roc_auc_score(same, values))
    counts = np.random.default_rng(seed).integers(0, 3, (1, len(pairs)), dtype=np.int32)
    expected = roc_auc_score(same, values, sample_weight=counts[0])
    assert statistic(counts)[0] == pytest.approx(expected)
