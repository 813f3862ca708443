"""Draws depend on the seed and the set of items, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.chance import Chance, cell_generator, generator
from layerscope.statistics import resampling
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.resampling import bootstrap_counts

NAMES = [f"cell-{number}" for number in range(40)]


def counts(items, seed=1, n_resamples=50):
    return np.concatenate(list(bootstrap_counts(seed, items, n_resamples)))


@given(st.permutations(NAMES))
@settings(max_examples=10, deadline=None)
def test_the_order_of_items_changes_nothing(shuffled):
    place = [shuffled.index(name) for name in NAMES]
    np.testing.assert_array_equal(counts(shuffled)[:, place], counts(NAMES))


def test_the_size_of_blocks_changes_nothing(monkeypatch):
    whole = counts(NAMES)
    monkeypatch.setattr(resampling, "BLOCK_VALUES", 100)
    assert len(list(bootstrap_counts(1, NAMES, 50))) == 25
    np.testing.assert_array_equal(counts(NAMES), whole)


def test_another_seed_or_another_set_draws_anew():
    assert (counts(NAMES, seed=2) != counts(NAMES)).any()
    assert (counts(NAMES[:-1]) != counts(NAMES)[:, :-1]).any()


def test_a_resample_has_as_many_items_as_there_are_each_equally_likely():
    drawn = counts(NAMES, n_resamples=4000)
    assert (drawn.sum(axis=1) == 40).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(drawn.var(axis=0), 39 / 40, rtol=0.12)


def test_draws_are_those_of_every_earlier_version():
    assert generator(1, ["b", "a"], "bootstrap").integers(0, 1000, 4).tolist() == [590, 153, 112, 706]
    assert cell_generator(1, "cell-1").integers(0, 1000, 4).tolist() == [908, 142, 796, 918]
    keys = Chance(1, ["cell-1", "cell-2"]).keys(0).tolist()
    assert keys == [3583537036297296816, 11391241670548286593]


def test_items_need_unique_names():
    with pytest.raises(ValueError, match="unique"):
        counts(["a", "a"])


def test_an_interval_ignores_few_missing_values_and_refuses_many():
    values = np.arange(1000.0)
    assert percentile_interval(values) == pytest.approx((24.975, 974.025))
    few = np.where(values < 30, np.nan, values)
    assert np.isfinite(percentile_interval(few)).all()
    assert np.isnan(percentile_interval(np.where(values < 60, np.nan, values))).all()
    assert np.isnan(percentile_interval([])).all()
