"""Labels that were given to samples or to whole donors: held out, dealt and resampled as such."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from label_cells import scored
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from layerscope.errors import ConfigError
from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.discriminant import Discriminant
from layerscope.tasks.label.distances import NeighbourShares
from layerscope.tasks.label.measures import auc_within, balanced_accuracy
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.label.units import _Predicted, unit_measures
from layerscope.tasks.scored import NoScoreError

Floats = npt.NDArray[np.float64]
PER_SAMPLE = 12


def cohort(n_donors: int, labels: str = "ill well") -> pd.DataFrame:
    """Donors with two samples each; a stimulus of one of them; a disease of every other donor."""
    donor = np.repeat(np.arange(n_donors), 2 * PER_SAMPLE)
    second = np.tile(np.repeat([0, 1], PER_SAMPLE), n_donors)
    kinds = np.array(labels.split(), dtype=object)
    obs = pd.DataFrame(
        {
            "donor": [f"donor {d:02d}" for d in donor],
            "sample": [f"sample {d:02d} {s}" for d, s in zip(donor, second, strict=True)],
            "cell_type": np.tile(["B", "T", "T"], len(donor) // 3),
            "stim": np.where(second == 1, "yes", "no"),
            "disease": kinds[donor % len(kinds)],
        }
    )
    obs.index = pd.Index([f"cell-{k:04d}" for k in np.random.default_rng(0).permutation(len(obs))])
    return obs


def vectors_of(obs: pd.DataFrame, column: str, signal: float, of_donor: float, seed: int = 0) -> Floats:
    """Vectors with a direction for one of the labels, an offset of every donor, and noise."""
    random = np.random.default_rng(seed)
    label = (obs[column] == sorted(set(obs[column]))[-1]).to_numpy()
    donor = pd.factorize(obs["donor"])[0]
    offsets = random.normal(size=(donor.max() + 1, 8))
    noise = random.normal(size=(len(obs), 8))
    noise[:, 0] += signal * label
    noise[:, 1] += signal * (obs[column] == "ill")
    return np.asarray(noise + of_donor * offsets[donor])


def rows_of(obs: pd.DataFrame, vectors: Floats, column: str, **settings: Any) -> dict[str, Any]:
    return scored(obs, vectors, column=column, **settings)[0]


def test_a_nonsense_label_of_donors_looks_true_to_cells_and_to_nobody_else() -> None:
    obs = cohort(10)
    rows = rows_of(obs, vectors_of(obs, "disease", signal=0, of_donor=4), "disease")
    assert rows["probe_macro_f1_random_folds"].estimate > 0.8
    assert rows["auc_random_folds"].estimate > 0.9
    assert rows["donor_auc"].p_value > 0.05
    assert rows["probe_macro_f1"].p_value > 0.05
    assert rows["donor_auc"].null_mean < 0.5


def test_a_label_of_donors_is_found_and_its_interval_draws_donors() -> None:
    obs = cohort(12)
    row = rows_of(obs, vectors_of(obs, "disease", signal=3, of_donor=0.3), "disease")["donor_auc"]
    assert row.estimate > 0.9
    assert row.p_value < 0.01
    assert row.n_items == 12
    assert row.null_mean < row.ci_low < row.estimate
    for words in ("level donor", "positive: well, against ill", "any donors", "924 ways"):
        assert words in row.reason


def test_three_donors_of_each_label_reach_two_in_twenty_and_no_interval() -> None:
    obs = cohort(6)
    rows = rows_of(obs, vectors_of(obs, "disease", signal=8, of_donor=0.1), "disease")
    row = rows["donor_auc"]
    assert (row.estimate, row.p_value) == (1, 2 / 20)  # all labels exchanged score the same
    assert np.isnan(row.ci_low)
    assert "no interval: 3 donors" in row.reason
    assert rows["donor_balanced_accuracy"].estimate == 1


@pytest.mark.parametrize("n_donors", [4, 5])
def test_fewer_donors_of_a_label_have_no_number(n_donors: int) -> None:
    with pytest.raises(NoScoreError, match=r"fewer than 3 donors: .*\(2\)") as none:
        design_of(cohort(n_donors), LabelSettings(column="disease"), 1)
    assert none.value.status == "undefined"


@pytest.mark.parametrize(("n_donors", "has_interval"), [(5, False), (6, True)])
def test_labels_of_samples_are_dealt_within_donors(n_donors: int, has_interval: bool) -> None:
    obs = cohort(n_donors)
    row = rows_of(obs, vectors_of(obs, "stim", signal=3, of_donor=3), "stim")["auc"]
    assert row.estimate > 0.9
    assert row.p_value == 2 / 2**n_donors  # all labels exchanged score the same
    assert np.isfinite(row.ci_low) == has_interval
    assert row.n_items == n_donors
    assert "level sample" in row.reason


def test_a_label_of_samples_without_signal_is_as_good_as_dealt_ones() -> None:
    obs = cohort(8)
    vectors = vectors_of(obs, "stim", signal=0, of_donor=1)
    vectors += 2 * np.random.default_rng(3).normal(size=(16, 8))[pd.factorize(obs["sample"])[0]]
    rows = rows_of(obs, vectors, "stim")
    assert rows["auc_random_folds"].estimate > 0.7
    assert rows["auc"].p_value > 0.05
    assert rows["auc"].ci_low < rows["auc"].null_mean < rows["auc"].ci_high


def test_samples_of_one_donor_alone_that_differ_are_too_few() -> None:
    obs = cohort(6)
    obs.loc[obs["donor"] != "donor 00", "stim"] = np.where(obs["donor"] < "donor 03", "no", "yes")[
        2 * PER_SAMPLE :
    ]
    with pytest.raises(NoScoreError, match="1 donor with samples"):
        design_of(obs, LabelSettings(column="stim"), 1)


def test_more_than_two_labels_of_donors_have_a_balanced_accuracy() -> None:
    obs = cohort(15, "ill well worse")
    rows = rows_of(obs, vectors_of(obs, "disease", signal=2, of_donor=0.8), "disease")
    assert "donor_auc" not in rows
    row = rows["donor_balanced_accuracy"]
    assert 0.6 < row.estimate <= 1
    assert row.ci_low < row.estimate and row.p_value < 0.05


def test_a_perfect_score_of_few_donors_is_no_certainty() -> None:
    obs = cohort(12)
    row = rows_of(obs, vectors_of(obs, "disease", signal=20, of_donor=0.1), "disease")["donor_auc"]
    assert (row.estimate, row.ci_high) == (1, 1)
    assert 0 <= row.ci_low <= 0.025 ** (1 / 12)


def test_folds_of_donors_do_not_know_what_their_names_tell() -> None:
    obs = cohort(10)
    obs["donor"] = obs["disease"] + obs["donor"]
    mixed = []
    for seed in range(40):
        design = design_of(obs, LabelSettings(column="disease"), seed)
        assert set(np.bincount(design.folds)) == {2 * 2 * PER_SAMPLE}
        mixed.append((pd.Series(design.types).groupby(design.folds).nunique() == 2).mean())
    assert np.mean(mixed) == pytest.approx(5 / 9, abs=0.15)  # as often as two of ten donors differ


def test_every_way_of_dealing_is_scored_as_if_it_were_the_true_one() -> None:
    obs = cohort(6)
    vectors, chosen = vectors_of(obs, "disease", 1, 1), LabelSettings(column="disease", refits=0)
    design = design_of(obs, chosen, 1)
    none = np.empty((0, 6), dtype=np.int32)
    measures, _ = unit_measures(vectors[design.cells], design, chosen, none)
    everyone = np.ones(6)
    for number in (3, 11):
        dealt = np.array(design.names, dtype=object)[design.shuffled[number]]
        other = obs.iloc[design.cells].assign(disease=dealt)
        same = design_of(other, chosen, 1)
        again, _ = unit_measures(vectors[design.cells][same.cells], same, chosen, none)
        for metric, (_, null, _) in measures.items():
            if null:
                assert float(again[metric][0](everyone)) == pytest.approx(float(null[number](everyone)))


def test_other_names_and_another_order_change_no_number() -> None:
    obs = cohort(8)
    vectors = vectors_of(obs, "disease", 2, 1)
    rows = rows_of(obs, vectors, "disease")
    order = np.random.default_rng(1).permutation(len(obs))
    renamed = obs.assign(disease=obs["disease"].map({"ill": "z", "well": "a"}))
    numbers = attrgetter("estimate", "ci_low", "ci_high", "null_mean", "p_value")
    for again in (
        rows_of(obs.iloc[order], vectors[order], "disease"),
        rows_of(renamed, vectors, "disease", positive="a"),
        rows_of(renamed, vectors, "disease"),
    ):
        for metric, row in rows.items():
            np.testing.assert_allclose(numbers(again[metric]), numbers(row), atol=1e-6)


@pytest.mark.parametrize(("labels", "positive"), [("ill well", "sick"), ("ill well worse", "ill")])
def test_a_positive_label_must_be_one_of_two(labels: str, positive: str) -> None:
    with pytest.raises(ConfigError, match="two labels of 'disease'"):
        design_of(cohort(12, labels), LabelSettings(column="disease", positive=positive), 1)


def test_a_donor_without_name_does_not_hide_the_level() -> None:
    obs = cohort(8)
    obs.loc[obs["donor"] == "donor 07", ["donor", "sample"]] = ""
    obs.iloc[-3:, obs.columns.get_loc("disease")] = "ill"
    design = design_of(obs, LabelSettings(column="disease"), 1)
    assert design.level == "donor"
    assert "24 cells without" in design.remark


def test_types_weigh_alike_in_the_prediction_of_a_donor() -> None:
    obs = cohort(6)
    design = design_of(obs, LabelSettings(column="disease"), 1)
    weights = pd.Series(_Predicted(design)._weight)
    types = obs["cell_type"].to_numpy()[design.cells]
    shares = weights.groupby([design.unit, types]).sum()
    np.testing.assert_allclose(shares, 0.5)


def test_the_closed_form_of_two_labels_is_a_ridge_regression() -> None:
    random = np.random.default_rng(2)
    vectors, labels, folds = random.normal(size=(90, 5)), random.integers(0, 2, 90), np.arange(90) % 3
    vectors[:, 1] += labels
    read = Discriminant(vectors, folds, 0.3)(labels[None], 2)[0]
    odds = np.log(read[:, 1] / read[:, 0])
    for fold in range(3):
        test = folds == fold
        mean, spread = vectors[~test].mean(axis=0), vectors[~test].std(axis=0)
        placed = (vectors - mean) / spread
        ridge = Ridge(alpha=0.3 * (~test).sum()).fit(placed[~test], labels[~test])
        assert np.corrcoef(odds[test], ridge.predict(placed[test]))[0, 1] == pytest.approx(1)
        means = [placed[~test][labels[~test] == kind].mean(axis=0) for kind in (0, 1)]
        middle = ridge.predict([np.mean(means, axis=0)])
        np.testing.assert_array_equal(odds[test] > 0, ridge.predict(placed[test]) > middle)


@pytest.mark.parametrize("reader", ["probe", "neighbours"])
def test_many_labellings_are_read_as_each_alone_and_weights_are_repeated_cells(reader: str) -> None:
    random = np.random.default_rng(4)
    vectors, folds, labels = random.normal(size=(80, 6)), np.arange(80) % 4, random.integers(0, 3, (5, 80))
    read: Any = (
        Discriminant(vectors, folds, 0.1)
        if reader == "probe"
        else NeighbourShares(vectors, folds, 5, "euclidean")
    )
    together = read(labels, 3)
    np.testing.assert_allclose(together.sum(axis=2), 1)
    for alone, of_all in zip(labels, together, strict=True):
        np.testing.assert_allclose(read(alone[None], 3)[0], of_all)
    np.testing.assert_allclose(read(labels, 3, weight=np.ones(80)), together)


@pytest.mark.parametrize("of_cells", [True, False], ids=["cells drawn", "groups drawn"])
def test_an_auc_within_groups_is_scikit_learns_on_cells_drawn_so_often(of_cells: bool) -> None:
    random = np.random.default_rng(5)
    group = np.arange(60) % 3
    scores, positive = random.integers(0, 8, 60).astype(float), random.random(60) < 0.4
    unit = np.arange(60) if of_cells else group
    counts = random.integers(0, 3, unit.max() + 1)
    counts[0] = 1
    drawn = np.repeat(np.arange(60), counts[unit])
    shares = [
        roc_auc_score(positive[drawn][of], scores[drawn][of])
        for g in range(3)
        if (of := group[drawn] == g).any()
    ]
    alike = None if of_cells else [counts[g] for g in range(3) if counts[g]]
    expected = np.average(shares, weights=alike)
    measure = auc_within(scores, positive, group, unit, unit.max() + 1)
    assert float(measure(counts)) == pytest.approx(expected)
    np.testing.assert_allclose(measure(np.array([counts, counts])), expected)


def test_groups_of_one_label_have_no_auc_and_balanced_accuracy_needs_every_label() -> None:
    measure = auc_within(
        np.arange(4.0), np.array([True, True, False, False]), np.arange(4) // 2, np.arange(4), 4
    )
    assert np.isnan(measure(np.ones(4)))
    accuracy = balanced_accuracy(np.array([0, 0, 1]), np.array([0, 1, 1]), np.arange(3), 3, 2)
    assert float(accuracy(np.ones(3))) == pytest.approx(0.75)
    assert np.isnan(accuracy(np.array([1, 1, 0])))
