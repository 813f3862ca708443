"""A layer chosen on one half is worth what it scores on the other."""

import numpy as np
import pytest

from layerscope.statistics.held_out import held_out


def halves(truth, noise, n_splits=400, seed=0):
    random = np.random.default_rng(seed)
    return (np.asarray(truth) + noise * random.normal(size=(n_splits, len(truth))) for _ in range(2))


def test_a_layer_that_is_truly_best_keeps_its_advantage():
    choice = held_out(*halves([0.2, 0.8, 0.4, 0.5], 0.02))
    assert (choice.most_often, choice.share) == (1, 1)
    assert choice.estimate == pytest.approx(0.8, abs=0.005)
    assert choice.gain == pytest.approx(0.3, abs=0.005)
    assert abs(choice.optimism) < 0.005


def test_the_highest_of_equal_layers_promises_too_much():
    """The mean maximum of 24 standard normal numbers is 1.95."""
    choice = held_out(*halves(np.full(24, 0.3), 0.05))
    assert choice.optimism == pytest.approx(1.95 * 0.05, rel=0.05)
    assert abs(choice.gain) < 0.01
    assert choice.estimate == pytest.approx(0.3, abs=0.01)
    assert choice.share < 0.1


def test_each_half_chooses_for_the_other():
    choice = held_out([[0.1, 0.9, 0.0]], [[0.8, 0.2, 0.3]])
    # layer 1 chosen on the first half scores 0.2, layer 0 chosen on the second 0.1; the final 0.3 and 0.0
    assert choice.estimate == pytest.approx(0.15)
    assert choice.gain == pytest.approx(0.0)
    assert choice.optimism == pytest.approx(0.7)
    assert choice.n_splits == 1


def test_splits_without_all_scores_are_left_out():
    choice = held_out([[0.1, 0.9], [np.nan, 0.9]], [[0.1, 0.9], [0.1, 0.9]])
    assert choice.n_splits == 1
    nothing = held_out([[np.nan, 0.9]], [[0.1, 0.9]])
    assert nothing.n_splits == 0
    assert np.isnan(nothing.estimate)
