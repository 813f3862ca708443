"""Which targets a perturbation has, and folds that hold out whole targets."""

from __future__ import annotations

import numpy as np
import pytest

from layerscope.tasks.response.targets import folds_of, shares, targets_of

GENES = {"KLF1", "MAP2K6", "SET", "HLA-A", "ENSG00000105610"}


@pytest.mark.parametrize(
    ("label", "targets"),
    [
        ("KLF1", ["KLF1"]),
        ("KLF1+MAP2K6", ["KLF1", "MAP2K6"]),
        ("MAP2K6,KLF1", ["KLF1", "MAP2K6"]),
        ("SET | KLF1", ["KLF1", "SET"]),
        ("KLF1_MAP2K6", ["KLF1", "MAP2K6"]),
        ("KLF1+ctrl", ["KLF1"]),
        ("control+SET", ["SET"]),
        ("NegCtrl0_KLF1", ["KLF1"]),
        ("KLF1_sg2", ["KLF1"]),
        ("HLA-A", ["HLA-A"]),
        ("ENSG00000105610", ["ENSG00000105610"]),
        ("drug_A", ["drug_A"]),
        ("aspirin+drug_A", ["aspirin", "drug_A"]),
        ("P_001", ["P_001"]),
        ("KLF1+", ["KLF1"]),
    ],
)
def test_targets_are_read_from_a_label(label: str, targets: list[str]) -> None:
    assert targets_of([label], GENES) == [targets]


def test_a_pair_of_what_are_perturbations_themselves_belongs_to_both() -> None:
    assert targets_of(["aspirin", "zinc", "aspirin_zinc"], set())[2] == ["aspirin", "zinc"]


@pytest.mark.parametrize("joined", ["{}+{}", "{}_{}", "{},{}", "{};{}", "{}|{}"])
def test_pairs_follow_their_targets_into_the_fold(joined: str) -> None:
    singles = [f"G{number}" for number in range(24)]
    pairs = [joined.format(singles[number], singles[number + 1]) for number in range(0, 12, 3)]
    names = sorted([*singles, *pairs])
    targets = targets_of(names, set(singles))
    folds = folds_of(targets, 5)
    assert folds.units == sorted(singles)
    assert (folds.test.sum(axis=0) == 1).all()
    shared = shares(targets)
    for test, train in zip(folds.test, folds.train, strict=True):
        assert not shared[np.ix_(test, train)].any()
        assert train.sum() >= 12


def test_folds_are_of_nearly_equal_size_and_know_no_order() -> None:
    names = [f"G{number:02d}" for number in range(33)]
    folds = folds_of([[name] for name in names], 5)
    assert sorted(folds.test.sum(axis=1)) == [6, 6, 7, 7, 7]
    backwards = folds_of([[name] for name in names[::-1]], 5)
    np.testing.assert_array_equal(folds.test, backwards.test[:, ::-1])


def test_a_screen_in_which_all_is_linked_still_has_folds() -> None:
    targets = [[f"G{number:02d}", f"G{number + 1:02d}"] for number in range(40)]
    folds = folds_of(targets, 5)
    assert folds.test.sum(axis=1).max() <= 9
    assert folds.train.sum(axis=1).min() >= 25
