"""Closed forms of ridge regression, held against fits that are made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from layerscope.tasks.response.cell_level import PENALTY, cell_level_pearson
from layerscope.tasks.response.decoding import (
    Truth,
    changes_without,
    choose_penalties,
    decode,
    fitted,
    kernel,
)
from layerscope.tasks.response.jackknife import Ratio, target_draws
from layerscope.tasks.response.targets import Folds, folds_of

NAMES = [f"T{number:02d}" for number in range(20)]
TARGETS = [[name] for name in NAMES] + [["T00", "T01"], ["T00", "T02"]]
N, N_COLUMNS, N_GENES = len(TARGETS), 6, 30
Effects = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def folds() -> Folds:
    return folds_of(TARGETS, 4)


@pytest.fixture
def effects() -> Effects:
    """Of one half: in the layer and on genes."""
    random = np.random.default_rng(0)
    layer = random.normal(size=(1, N, N_COLUMNS))
    genes = layer @ random.normal(size=(N_COLUMNS, N_GENES)) + random.normal(size=(1, N, N_GENES))
    return layer, genes + 3


@pytest.fixture
def truth(effects: Effects, folds: Folds) -> Truth:
    own = np.zeros((N, N_GENES), dtype=bool)
    own[range(N), range(N)] = True
    return Truth.of(effects[1], np.full((len(folds.test), N_GENES), 2.0), own, folds)


def test_predictions_are_those_of_a_ridge_regression(effects: Effects, folds: Folds, truth: Truth) -> None:
    layer, genes = effects
    errors, weights = decode(kernel(layer)[None], truth, folds, np.full(len(folds.test), 0.5))
    for test, train in zip(folds.test, folds.train, strict=True):
        own = layer[0, train]
        alpha = 0.5 * ((own - own.mean(axis=0)) ** 2).sum() / len(own)
        predicted = Ridge(alpha=alpha).fit(own, genes[0, train]).predict(layer[0, test])
        np.testing.assert_allclose(weights[0, test] @ genes[0], predicted)
        for one, prediction in zip(np.flatnonzero(test), predicted, strict=True):
            others = np.arange(N_GENES) != one
            missed = ((genes[0, one] - prediction)[others] ** 2).sum() / 4
            effect = ((genes[0, one] - genes[0, train].mean(axis=0))[others] ** 2).sum() / 4
            assert errors.missed[one] == pytest.approx(missed)
            assert errors.effect[one] == pytest.approx(effect)


def test_a_targets_own_gene_does_not_count_in_its_row(effects: Effects, folds: Folds, truth: Truth) -> None:
    layer, genes = effects
    changed = genes.copy()
    changed[0, 7, 7] = 1000.0
    own = np.eye(N, N_GENES, dtype=bool)
    scale, penalty = np.full((len(folds.test), N_GENES), 2.0), np.full(len(folds.test), 0.5)
    plain = decode(kernel(layer)[None], truth, folds, penalty)[0]
    other = decode(kernel(layer)[None], Truth.of(changed, scale, own, folds), folds, penalty)[0]
    counted = decode(kernel(layer)[None], Truth.of(changed, scale, own & False, folds), folds, penalty)[0]
    assert other.missed[7] == pytest.approx(plain.missed[7])
    assert other.effect[7] == pytest.approx(plain.effect[7])
    assert counted.missed[7] > 1000 * plain.missed[7]


@pytest.mark.parametrize("unit", [0, 5])
def test_leaving_a_target_out_of_the_training_needs_no_other_fit(
    effects: Effects, folds: Folds, truth: Truth, unit: int
) -> None:
    layer, _ = effects
    kernels, penalty = kernel(layer)[None], np.full(len(folds.test), 0.3)
    changes = changes_without(kernels, truth, folds, penalty)
    before = decode(kernels, truth, folds, penalty)[0]
    fewer = replace(folds, train=folds.train & (folds.unit != unit))

    def ridge(train: np.ndarray) -> float:
        own = layer[0, train]
        return float(((own - own.mean(axis=0)) ** 2).sum() / len(own))

    same_ridge = [
        0.3 * ridge(all_) / ridge(part) for all_, part in zip(folds.train, fewer.train, strict=True)
    ]
    after = decode(kernels, truth, fewer, np.array(same_ridge))[0]
    for name in ("missed", "effect", "further"):
        # where the target itself is held out, it does not train, and nothing changes
        expected = (getattr(after, name) - getattr(before, name)).sum()
        assert getattr(changes, name)[unit] == pytest.approx(expected, abs=1e-9)


def test_the_penalty_is_chosen_by_leaving_training_perturbations_out(
    effects: Effects, folds: Folds, truth: Truth
) -> None:
    layer, genes = effects
    penalties = (0.001, 0.1, 1.0, 100.0)
    chosen = choose_penalties(kernel(layer)[None], truth, folds, penalties)
    for train, penalty in zip(folds.train, chosen, strict=True):
        rows = np.flatnonzero(train)
        own = layer[0, rows] - layer[0, rows].mean(axis=0)
        missed = []
        for ratio in penalties:
            model = Ridge(alpha=ratio * (own**2).sum() / len(own))
            missed.append(0.0)
            for one in rows:
                others = rows[rows != one]
                predicted = model.fit(layer[0, others], genes[0, others]).predict(layer[0, [one]])
                missed[-1] += ((predicted - genes[0, one]) ** 2).sum()
        assert penalty == penalties[int(np.argmin(missed))]


def test_no_layer_predicts_the_mean(folds: Folds) -> None:
    weights = fitted(np.zeros((1, N, N)), folds.train[0], 1.0)
    np.testing.assert_allclose(weights[0], np.tile(folds.train[0] / folds.train[0].sum(), (N, 1)))


def test_the_scale_of_a_layer_changes_nothing(effects: Effects, folds: Folds, truth: Truth) -> None:
    layer, _ = effects
    penalties = (0.01, 0.1, 1.0)
    for scale in (1e-3, 1e3):
        kernels = [kernel(layer * factor)[None] for factor in (1.0, scale)]
        chosen = [choose_penalties(own, truth, folds, penalties) for own in kernels]
        np.testing.assert_array_equal(chosen[0], chosen[1])
        first, second = (decode(own, truth, folds, chosen[0])[0] for own in kernels)
        np.testing.assert_allclose(first.missed, second.missed, rtol=1e-6)


def test_a_score_is_never_resampled_above_1() -> None:
    random = np.random.default_rng(0)
    below = random.gamma(2, 1, 24)
    nothing = np.zeros(24)
    ratio = Ratio(0.05 * below * random.gamma(1, 1, 24), below, nothing, nothing, explained=True)
    values = ratio.resampled(target_draws([f"T{number}" for number in range(24)], 1, 500))
    assert values.max() <= 1 and values.std() > 0
    assert np.median(values) == pytest.approx(ratio.value, abs=0.01)


def test_single_cells_are_decoded_as_others_do(folds: Folds) -> None:
    random = np.random.default_rng(4)
    item = random.integers(0, N + 1, 300)
    vectors = random.normal(size=(300, 5))
    expression = vectors @ random.normal(size=(5, 8)) + random.normal(size=(300, 8))
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    decoded, measured = [], []
    for test in folds.test:
        held_out = np.isin(item, 1 + np.flatnonzero(test))
        model = Ridge(alpha=PENALTY).fit(standard[~held_out], expression[~held_out])
        decoded.append(model.predict(standard[held_out]).ravel())
        measured.append(expression[held_out].ravel())
    expected = np.corrcoef(np.concatenate(decoded), np.concatenate(measured))[0, 1]
    assert cell_level_pearson(vectors, expression, item, folds) == pytest.approx(expected, abs=1e-6)
