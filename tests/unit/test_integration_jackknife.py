"""Leaving parts out: the error of a mean is the one that it has, and whole units stay together."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.tasks.integration.jackknife import Parts

CELLS = [f"cell{k}" for k in range(400)]


def test_the_error_of_a_mean_is_the_one_that_it_has() -> None:
    values = np.random.default_rng(0).normal(size=400)
    errors = []
    for seed in range(40):
        parts = Parts.of(CELLS, seed, 20)
        without = parts.without_each(lambda others: float(values[others].mean()))
        resamples = parts.resamples(float(values.mean()), without, 1000)
        errors.append(resamples.std() / np.sqrt(19 / 17))  # Student's t of 19 degrees is that much wider
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(values.std() / 20, rel=0.1)


def test_units_stay_together_and_few_are_a_part_each() -> None:
    units = [f"batch{k % 12}" for k in range(400)]
    parts = Parts.of(units, 1, 20)
    assert parts.n_parts == 12
    assert len(set(zip(units, parts.part, strict=True))) == 12
    five = Parts.of(units, 1, 5)
    assert len(set(zip(units, five.part, strict=True))) == 12
    assert np.bincount(five.part).min() >= 2 * 400 // 12 - 12


def test_no_interval_without_most_of_the_parts() -> None:
    parts = Parts.of(CELLS, 1, 10)
    without = np.linspace(0, 1, 10)
    assert np.isfinite(parts.resamples(0.5, np.where(np.arange(10) < 2, np.nan, without), 50)).all()
    assert np.isnan(parts.resamples(0.5, np.where(np.arange(10) < 3, np.nan, without), 50)).all()
    assert np.isnan(parts.resamples(np.nan, without, 50)).all()
