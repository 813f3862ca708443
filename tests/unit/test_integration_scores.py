"""What mixing and biology must be where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from integration_cells import cells, layer, scored
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from layerscope.tasks.integration.probe import columns_of, predictions, votes
from layerscope.tasks.integration.scores import BIOLOGY, METRICS, MIXING, RANDOM_FOLDS
from layerscope.tasks.scored import NoScoreError

BATCH_PROBE = "batch_probe_accuracy"


def test_batches_that_are_not_there_are_mixed_as_chance_mixes_them() -> None:
    obs = cells()
    rows, _ = scored(obs, layer(obs))
    assert rows[MIXING].estimate == pytest.approx(1, abs=0.05)
    assert rows[MIXING].ci_low < 1 < rows[MIXING].ci_high
    assert rows[MIXING].ceiling == 1
    assert rows[BIOLOGY].estimate > 0.95


def test_batches_dealt_anew_within_types_are_mixed_whatever_the_layer_knows() -> None:
    obs = cells()
    matrix = layer(obs, of_batches=2.0)
    assert scored(obs, matrix)[0][MIXING].estimate < 0.1
    dealt = obs.groupby("cell_type")["batch"].transform(
        lambda of: of.sample(frac=1, random_state=3).to_numpy()
    )
    assert scored(obs.assign(batch=dealt), matrix)[0][MIXING].estimate == pytest.approx(1, abs=0.05)


def test_noise_has_no_biology_and_its_mixing_is_complete() -> None:
    obs = cells()
    rows, _ = scored(obs, layer(obs, of_types=0.0))
    assert rows[BIOLOGY].ci_low < rows[BIOLOGY].null_mean < rows[BIOLOGY].ci_high
    assert rows[BIOLOGY].p_value > 1 / 6
    assert rows[MIXING].ci_low < 1 < rows[MIXING].ci_high


def test_batches_of_other_composition_are_no_less_mixed() -> None:
    # batch 0 has most cells of type 0, and so on: iLISI of all cells suffers, mixing within types does not
    obs = cells(n_cells=1500)
    other = obs["cell_type"].str[5:].astype(int) != obs["batch"].str[6:].astype(int)
    obs = obs[~other | (np.random.default_rng(0).random(len(obs)) < 0.25)]
    rows, _ = scored(obs, layer(obs))
    assert rows[MIXING].estimate == pytest.approx(1, abs=0.06)
    assert rows["ilisi"].estimate < 0.6


def test_what_a_layer_knows_of_batches_is_named_by_a_probe_and_lost_to_mixing() -> None:
    obs = cells()
    values = [scored(obs, layer(obs, of_batches=size))[0] for size in (0.0, 0.5, 1.0, 2.0)]
    mixings = [rows[MIXING].estimate for rows in values]
    assert mixings == sorted(mixings, reverse=True)
    assert values[0][BATCH_PROBE].estimate < 0.45
    assert values[3][BATCH_PROBE].estimate > 0.95
    assert min(rows[BIOLOGY].estimate for rows in values) > 0.7


def test_a_type_that_only_its_batch_gives_away_is_not_told_in_other_batches() -> None:
    # each batch has mostly one type, and the layer knows batches alone
    random = np.random.default_rng(5)
    obs = cells(n_cells=900)
    own = "type " + obs["batch"].str[6:]
    obs["cell_type"] = np.where(random.random(900) < 0.7, own, obs["cell_type"])
    rows, _ = scored(obs, layer(obs, of_types=0.0, of_batches=2.0))
    assert rows[RANDOM_FOLDS].estimate > 0.6
    assert rows[BIOLOGY].estimate < 0.35


def test_other_names_of_types_change_nothing() -> None:
    obs = cells(n_cells=300)
    matrix = layer(obs, of_batches=0.5)
    rows, values = scored(obs, matrix)
    renamed = obs.assign(cell_type=obs["cell_type"].map({"type 0": "z", "type 1": "a", "type 2": "m"}))
    again, resamples = scored(renamed, matrix)
    for metric in METRICS:
        assert again[metric].estimate == pytest.approx(rows[metric].estimate, abs=1e-9), metric
    for name in values:
        np.testing.assert_allclose(resamples[name], values[name], atol=1e-9)


def test_every_metric_stands_beside_what_shuffled_labels_give() -> None:
    obs = cells(n_cells=300)
    rows, resamples = scored(obs, layer(obs, of_batches=0.5))
    assert tuple(rows) == METRICS
    assert all(np.isfinite(row.null_mean) for metric, row in rows.items() if metric != MIXING)
    assert set(resamples) == {MIXING, BIOLOGY}
    for metric in ("nmi", "ari", "clisi", "silhouette_label", "graph_connectivity"):
        assert rows[metric].estimate > rows[metric].null_mean + 0.1, metric
    for metric in ("ilisi", "bras", "kbet_per_label"):
        assert rows[metric].estimate < rows[metric].null_mean, metric


def test_cells_of_which_all_types_but_one_are_refused_have_no_score() -> None:
    obs = cells()
    matrix = layer(obs)
    matrix[(obs["cell_type"] != "type 1").to_numpy()] = np.nan
    with pytest.raises(NoScoreError, match="fewer than two"):
        scored(obs, matrix)


def test_of_many_batches_the_interval_is_for_any_batches() -> None:
    obs = cells(n_cells=2400, n_batches=12)
    few = scored(obs, layer(obs, of_batches=0.5), cells_per_batch=20, least_batches=20)[0]
    many = scored(obs, layer(obs, of_batches=0.5), cells_per_batch=20)[0]
    for metric in (MIXING, BIOLOGY):
        assert "these batches" in few[metric].reason
        assert "any batches" in many[metric].reason
        assert few[metric].n_items == len(obs)
        assert many[metric].n_items == 12
        assert few[metric].estimate == many[metric].estimate
    assert many[MIXING].ci_high - many[MIXING].ci_low > few[MIXING].ci_high - few[MIXING].ci_low


def test_types_too_small_to_mix_leave_biology() -> None:
    obs = cells(n_cells=200)
    rows, _ = scored(obs, layer(obs), cells_per_batch=60)
    assert rows[MIXING].status == "undefined"
    assert "60 cells" in rows[MIXING].reason
    assert rows[BIOLOGY].status == "ok"


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda obs: obs.assign(donor=obs["batch"]), {}),
        (lambda obs: obs.rename(columns={"batch": "patient_id"}), {"batch": "patient_id"}),
        (lambda obs: obs.rename(columns={"batch": "stim"}), {"batch": "stim"}),
        (lambda obs: obs.assign(time=obs["batch"].str[6:]), {}),
        (lambda obs: obs, {"batches_are": "donor"}),
    ],
    ids=["each a donor", "named donor", "named stimulus", "each a time", "set"],
)
def test_mixing_donors_or_stimuli_is_no_virtue_and_chooses_no_layer(change, settings) -> None:
    obs = change(cells())
    matrix = layer(cells(), of_batches=0.5)
    rows, resamples = scored(obs, matrix, **settings)
    assert "no virtue" in rows[MIXING].reason
    assert np.isfinite(rows[MIXING].ci_low)
    assert MIXING not in resamples and BIOLOGY in resamples
    rows, resamples = scored(obs, matrix, **settings | {"batches_are": "technical"})
    assert "virtue" not in rows[MIXING].reason
    assert MIXING in resamples


def test_the_probe_is_linear_discriminant_analysis_and_sees_no_cell_that_it_is_tested_on() -> None:
    random = np.random.default_rng(0)
    labels, folds = random.integers(0, 3, 200), np.arange(200) % 4
    vectors = random.normal(size=(200, 6)) + labels[:, None] * np.array([1, 0.5, 0, 0, 0, 0])
    shuffled = random.permutation(labels)
    probed = predictions(columns_of(vectors), np.vstack([labels, shuffled]), folds, 1e-9)
    for predicted, own in zip(probed, (labels, shuffled), strict=True):
        for fold in range(4):
            test = folds == fold
            expected = LinearDiscriminantAnalysis().fit(vectors[~test], own[~test]).predict(vectors[test])
            np.testing.assert_array_equal(predicted[test], expected)
    other = np.where(folds == 2, (labels + 1) % 3, labels)
    again = predictions(columns_of(vectors), other[None], folds, 1e-9)
    np.testing.assert_array_equal(again[0, folds == 2], probed[0, folds == 2])


def test_more_columns_than_cells_are_no_obstacle() -> None:
    random = np.random.default_rng(3)
    labels, folds = np.arange(80) % 2, np.arange(80) // 40
    vectors = random.normal(size=(80, 300))
    vectors[:, :20] += labels[:, None]
    columns = columns_of(vectors)
    assert columns.shape[1] <= 80
    scaled = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    np.testing.assert_array_equal(
        predictions(columns, labels[None], folds, 0.1), predictions(scaled, labels[None], folds, 0.1)
    )


def test_votes_are_scikit_learns_of_the_other_folds() -> None:
    random = np.random.default_rng(4)
    vectors, folds = random.normal(size=(90, 5)), np.arange(90) % 3
    labellings = random.integers(0, 3, (2, 90))
    voted = votes(vectors, labellings, folds, 5)
    for labels, of_labels in zip(labellings, voted, strict=True):
        test = folds == 1
        nearest = KNeighborsClassifier(5).fit(vectors[~test], labels[~test])
        np.testing.assert_array_equal(of_labels[test], nearest.predict(vectors[test]))
