"""To what a column's labels were given is found from the cells, and they are dealt anew at that level."""

from __future__ import annotations

from math import comb

import numpy as np
import pandas as pd
import pytest

from layerscope.tasks.levels import deal, level_of

DONORS, CELLS = 6, 10


def cells(**columns: object) -> pd.DataFrame:
    """Six donors with two samples each, ten cells in each sample."""
    obs = pd.DataFrame(
        {
            "donor": np.repeat([f"d{i}" for i in range(DONORS)], 2 * CELLS),
            "sample": np.repeat([f"s{i}" for i in range(2 * DONORS)], CELLS),
            "cell_type": np.tile(["B", "T"], DONORS * CELLS),
            "stimulus": np.tile(np.repeat(["no", "yes"], CELLS), DONORS),
            "disease": np.repeat(["ill", "well"], DONORS * CELLS),
        }
    )
    obs.index = [f"cell{i}" for i in range(len(obs))]
    return obs.assign(**columns)


@pytest.mark.parametrize(
    ("column", "level", "by", "n_units"),
    [("cell_type", "cell", "", 120), ("stimulus", "sample", "sample", 12), ("disease", "donor", "donor", 6)],
)
def test_the_level_of_a_label_is_found_from_the_cells(column: str, level: str, by: str, n_units: int) -> None:
    labelled = level_of(cells(), column)
    assert (labelled.level, labelled.by, len(labelled.names)) == (level, by, n_units)


def test_without_samples_batches_are_samples_and_without_donors_samples_are_donors() -> None:
    assert level_of(cells().rename(columns={"sample": "batch"}), "stimulus").by == "batch"
    assert level_of(cells().drop(columns="donor"), "stimulus").level == "donor"
    assert level_of(cells().drop(columns=["donor", "sample"]), "disease").level == "cell"


def test_sample_names_that_repeat_in_every_donor_are_different_samples() -> None:
    obs = cells(sample=np.tile(np.repeat(["1", "2"], CELLS), DONORS))
    assert level_of(obs, "stimulus").level == "sample"
    assert len(level_of(obs, "stimulus").names) == 2 * DONORS


def test_the_level_does_not_depend_on_the_order_of_the_cells() -> None:
    obs = cells().sample(frac=1, random_state=1)
    assert level_of(obs, "stimulus").names == level_of(cells(), "stimulus").names


def test_cells_are_dealt_within_each_sample_of_a_donor() -> None:
    obs = cells()
    within = level_of(obs, "cell_type").within
    assert len(set(within)) == len(set(zip(within, obs["sample"], strict=True))) == 2 * DONORS


def test_few_dealings_are_all_of_them_and_many_are_drawn() -> None:
    random = np.random.default_rng(0)
    labels, one_group = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, dtype=np.intp)
    every = deal(labels, one_group, 100, random)
    assert every.exact and len(np.unique(every.labels, axis=0)) == len(every.labels) == comb(6, 3)
    assert (np.sort(every.labels, axis=1) == labels).all()
    some = deal(np.repeat([0, 1], 20), np.zeros(40, dtype=np.intp), 100, random)
    assert not some.exact and some.labels.shape == (100, 40)


def test_labels_of_samples_are_dealt_within_each_donor() -> None:
    within = np.repeat(np.arange(5), 2)
    dealt = deal(np.tile([0, 1], 5), within, 1000, np.random.default_rng(0))
    assert len(dealt.labels) == 2**5
    assert (dealt.labels.reshape(-1, 5, 2).sum(axis=2) == 1).all()
    null = dealt.labels[:, 1::2].sum(axis=1).astype(float)
    assert dealt.p_value(null, 5.0) == 1 / 32


def test_labels_that_can_be_dealt_one_way_alone_have_no_null() -> None:
    dealt = deal(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 100, np.random.default_rng(0))
    assert len(dealt.labels) == 0
    assert np.isnan(dealt.p_value(np.empty(0), 1.0))
