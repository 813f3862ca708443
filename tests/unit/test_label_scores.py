"""What the scores of cell types must be where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cells import cells, clusters, scored
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, silhouette_samples
from sklearn.neighbors import KNeighborsClassifier

from layerscope.tasks.label.distances import silhouettes, votes
from layerscope.tasks.label.measures import Labellings, accuracy, macro_f1
from layerscope.tasks.label.probe import probe_scores, standardised
from layerscope.tasks.label.scores import METRICS, PROBE_MACRO_F1, RANDOM_FOLDS, SILHOUETTE
from layerscope.tasks.scored import NoScoreError


def test_clusters_that_lie_apart_are_told_apart() -> None:
    obs = cells()
    rows, _ = scored(obs, clusters(obs["cell_type"], spread=0.05), metric="euclidean")
    for metric, row in rows.items():
        assert row.estimate == pytest.approx(1, abs=0.1 if metric == SILHOUETTE else 0), metric
        assert row.estimate == pytest.approx((row.ci_low + row.ci_high) / 2, abs=0.01)
    assert rows[PROBE_MACRO_F1].p_value == pytest.approx(1 / 11)
    assert rows[PROBE_MACRO_F1].null_mean < 0.5


@pytest.mark.parametrize("metric", METRICS)
def test_noise_scores_what_shuffled_labels_score(metric: str) -> None:
    obs = cells(n_cells=400)
    row = scored(obs, np.random.default_rng(5).normal(size=(400, 8)))[0][metric]
    assert row.ci_low < row.null_mean < row.ci_high
    assert row.p_value > 1 / 11


def test_a_representation_of_donors_looks_good_only_where_donors_leak() -> None:
    # nine in ten cells of a donor are of one type, and the vectors tell donors, nothing else
    random = np.random.default_rng(2)
    obs = cells(n_cells=600, n_types=2, n_donors=12)
    common = np.char.add("type ", (obs["donor"].str[6:].astype(int) % 2).astype(str).to_numpy().astype(str))
    obs["cell_type"] = np.where(random.random(600) < 0.9, common, obs["cell_type"])
    rows, _ = scored(obs, clusters(obs["donor"], spread=0.1, width=16))
    assert rows[RANDOM_FOLDS].estimate > 0.85
    honest = rows[PROBE_MACRO_F1]
    assert honest.ci_low < 0.5
    assert honest.estimate < rows[RANDOM_FOLDS].ci_low - 0.2
    without = scored(obs.drop(columns="donor"), clusters(obs["donor"], spread=0.1, width=16))[0]
    assert without[PROBE_MACRO_F1].estimate > 0.85
    assert "no donor" in without[PROBE_MACRO_F1].reason


def test_the_order_of_cells_and_other_names_for_the_types_change_nothing() -> None:
    obs = cells()
    matrix = clusters(obs["cell_type"], spread=2.5)
    rows, values = scored(obs, matrix)
    renamed = obs.assign(cell_type=obs["cell_type"].map({"type 0": "z", "type 1": "a", "type 2": "m"}))
    order = np.random.default_rng(1).permutation(len(obs))
    again, resamples = scored(renamed.iloc[order], matrix[order])
    assert repr(again) == repr(rows) and resamples.keys() == values.keys()
    for name in values:
        np.testing.assert_array_equal(resamples[name], values[name])


def test_units_of_the_columns_do_not_matter_to_the_probe() -> None:
    obs = cells()
    matrix = clusters(obs["cell_type"], spread=2.5).astype(np.float64)
    scales = np.geomspace(1e-3, 1e3, matrix.shape[1])
    moved = scored(obs, matrix * scales + 7)[0]
    assert moved[PROBE_MACRO_F1].estimate == pytest.approx(scored(obs, matrix)[0][PROBE_MACRO_F1].estimate)


def test_a_type_that_is_refused_has_no_score() -> None:
    obs = cells()
    matrix = clusters(obs["cell_type"], spread=0.05)
    matrix[(obs["cell_type"] == "type 1").to_numpy()] = np.nan
    with pytest.raises(NoScoreError, match="fewer than two"):
        scored(obs, matrix)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_macro_f1_is_scikit_learns_on_cells_drawn_so_often(seed: int) -> None:
    random = np.random.default_rng(seed)
    types, predicted, unit = random.integers(0, 4, 50), random.integers(0, 4, 50), random.integers(0, 9, 50)
    counts = random.integers(0, 3, 9)
    drawn = np.repeat(np.arange(50), counts[unit])
    present = sorted(set(types[drawn]))
    f1 = f1_score(types[drawn], predicted[drawn], average="macro", labels=present) if present else np.nan
    np.testing.assert_allclose(macro_f1(types, predicted, unit, 9, 4)(counts), f1)
    right = (types == predicted)[drawn].mean() if present else np.nan
    np.testing.assert_allclose(accuracy(types, predicted, unit, 9)(counts), right)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_votes_and_silhouettes_are_scikit_learns(metric: str) -> None:
    random = np.random.default_rng(4)
    vectors, folds = random.normal(size=(90, 5)), np.arange(90) % 3
    labellings = random.integers(0, 3, (2, 90))
    once = Labellings(labellings, np.ones(labellings.shape), 3)
    of_cells, cast = silhouettes(vectors, once, metric), votes(vectors, once, folds, 1, metric)
    for labels, voted, silhouette in zip(labellings, cast, of_cells, strict=True):
        np.testing.assert_allclose(silhouette, silhouette_samples(vectors, labels, metric=metric), atol=1e-9)
        for fold in range(3):
            test = folds == fold
            nearest = KNeighborsClassifier(1, metric=metric).fit(vectors[~test], labels[~test])
            np.testing.assert_array_equal(voted[test], nearest.predict(vectors[test]))


def test_of_equal_votes_the_nearest_wins() -> None:
    vectors = np.array([[0.0], [1.0], [2.0], [-1.5], [-3.0]])
    labellings = np.array([[0, 1, 0, 0, 1]])
    folds, once = np.array([0, 1, 1, 1, 1]), np.ones(labellings.shape)
    assert votes(vectors, Labellings(labellings, once, 2), folds, 4, "euclidean")[0, 0] == 1


def test_a_cell_that_counts_twice_is_two_cells() -> None:
    random = np.random.default_rng(7)
    vectors, folds, labels = random.normal(size=(60, 3)), np.arange(60) % 3, random.integers(0, 3, 60)
    counts = random.integers(0, 3, 60)
    twice = np.repeat(np.arange(60), counts)
    weighted = Labellings(labels[None], counts[None].astype(float), 3)
    cast = votes(vectors, weighted, folds, 5, "euclidean")
    for fold in range(3):
        test, train = np.flatnonzero(folds == fold), twice[folds[twice] != fold]
        for cell in test:
            near = np.argsort(np.linalg.norm(vectors[train] - vectors[cell], axis=1), kind="stable")[:5]
            sizes = np.bincount(labels[train][near], minlength=3)
            assert sizes[cast[0, cell]] == sizes.max()
    cell = int(np.flatnonzero(counts == 1)[0])
    expected = silhouette_samples(vectors[twice], labels[twice])[list(twice).index(cell)]
    assert silhouettes(vectors, weighted, "euclidean")[0, cell] == pytest.approx(expected)


def test_many_columns_are_turned_without_changing_a_prediction() -> None:
    random = np.random.default_rng(3)
    vectors, labels = random.normal(size=(60, 100)), random.integers(0, 3, 60)
    vectors[:, 5] = 2.0
    train, test = standardised(vectors[:40], vectors[40:])
    assert train.shape[1] < 40
    plain = (vectors - vectors[:40].mean(axis=0)) / np.where(np.arange(100) == 5, 1, vectors[:40].std(axis=0))
    np.testing.assert_allclose(train @ train.T, plain[:40] @ plain[:40].T, atol=1e-8)
    np.testing.assert_allclose(test @ train.T, plain[40:] @ plain[:40].T, atol=1e-8)
    probe = LogisticRegression(C=0.5, tol=1e-8, max_iter=5000)
    turned = probe.fit(train, labels[:40]).predict(test)
    np.testing.assert_array_equal(turned, probe.fit(plain[:40], labels[:40]).predict(plain[40:]))


def test_the_probe_never_sees_the_cells_that_it_is_tested_on() -> None:
    vectors, labels = np.random.default_rng(6).normal(size=(80, 40)), np.arange(80) % 2
    folds = np.arange(80) % 4
    once = np.ones((1, 80))
    before, _ = probe_scores(vectors, Labellings(labels[None], once, 2), folds, 0.01)
    labels = np.where(folds == 2, 1 - labels, labels)
    after, _ = probe_scores(vectors, Labellings(labels[None], once, 2), folds, 0.01)
    np.testing.assert_array_equal(before[0, folds == 2], after[0, folds == 2])


def test_an_interval_of_few_donors_is_wider_where_donors_are_drawn() -> None:
    # donors differ in how well their cells are told apart
    obs = cells(n_cells=1200, n_donors=12)
    noise = np.tile(np.linspace(0.5, 6, 12), 100)[:, None] * np.random.default_rng(8).normal(size=(1200, 8))
    matrix = clusters(obs["cell_type"], spread=0.0) + noise
    donors, by_cell = (scored(obs, matrix, least_groups=n)[0][PROBE_MACRO_F1] for n in (10, 20))
    assert donors.estimate == by_cell.estimate
    assert donors.ci_high - donors.ci_low > 2 * (by_cell.ci_high - by_cell.ci_low)


def test_cells_that_rounding_alone_parts_give_no_probe() -> None:
    noise = np.random.default_rng(0).normal(size=(9, 3))
    with pytest.raises(NoScoreError, match="constant"):
        standardised(1 + 1e-7 * noise, 1 + noise)
