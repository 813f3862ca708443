"""Which cells test a probe that was fitted to which others, and what is left out and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cells import cells

from layerscope.chance import Chance
from layerscope.tasks.folds import grouped_folds, stratified_folds
from layerscope.tasks.label.design import Design, design_of
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.scored import NoScoreError


def design(obs: pd.DataFrame, seed: int = 1, **chosen: Any) -> Design:
    return design_of(obs, LabelSettings.read(chosen), seed)


def n_folds_of(folds: Sequence[int], groups: Sequence[str]) -> set[int]:
    """In how many folds the cells of a group lie, over all groups."""
    return set(pd.Series(folds).groupby(np.asarray(groups, dtype=str)).nunique())


def test_cells_of_a_donor_are_tested_together() -> None:
    obs = cells(n_donors=7)
    made = design(obs)
    assert n_folds_of(made.folds, obs["donor"].to_numpy()[made.cells]) == {1}
    assert made.how == "level cell; 7 donors in 5 folds"


def test_donors_come_before_batches_and_a_lone_donor_is_none() -> None:
    obs = cells().assign(batch=np.tile(["a", "b"], 120))
    assert design(obs).by == "donor"
    batches = design(obs.assign(donor="one"))
    assert batches.by == "batch" and "2 batches" in batches.how
    assert design(obs, grouped_by=["batch", "donor"]).by == "batch"


def test_without_donors_folds_are_stratified_and_the_rows_say_so() -> None:
    obs = cells().drop(columns="donor")
    made = design(obs)
    assert "stratified by label" in made.how
    assert made.random_folds is None
    counts = pd.crosstab(made.types, made.folds)
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_sisters_of_a_clone_stay_together_where_there_is_no_donor() -> None:
    obs = cells().drop(columns="donor")
    obs["clone"] = [f"clone {k // 3}" if k < 150 else "" for k in range(len(obs))]
    made = design(obs)
    clone = obs["clone"].to_numpy()[made.cells]
    for labels in (made.folds, made.unit):
        assert n_folds_of(labels[clone != ""], clone[clone != ""]) == {1}
    assert len(made.units) == 50 + 90


def test_rare_types_are_left_out_by_name() -> None:
    obs = cells()
    obs.iloc[:4, 0] = "platelet"
    made = design(obs)
    assert made.n_types == 3
    assert "fewer than 10 cells: platelet" in made.remark
    assert len(made.cells) == len(obs) - 4


def test_a_type_of_a_single_donor_cannot_be_tested_on_another() -> None:
    obs = cells(n_donors=4)
    obs.loc[obs["donor"] == "donor 2", "cell_type"] = "lone"
    made = design(obs)
    assert "fold of donors: lone" in made.remark
    assert set(obs["donor"].to_numpy()[made.cells]) == {"donor 0", "donor 1", "donor 3"}


def test_a_donor_of_one_type_alone_is_no_obstacle() -> None:
    obs = cells()
    obs.loc[obs["donor"] == "donor 2", "cell_type"] = "type 1"
    assert len(design(obs).cells) == len(obs)


@pytest.mark.parametrize(
    ("obs", "status", "words"),
    [
        (cells().drop(columns="cell_type"), "not_available", "no column cell_type"),
        (cells().assign(cell_type=""), "not_available", "no column cell_type"),
        (cells(n_types=1), "undefined", "1 label left"),
        (cells(n_cells=20, n_types=6), "undefined", "no labels left"),
        (cells().assign(cell_type=cells()["donor"]), "undefined", "fewer than 3 donors"),
    ],
    ids=["no column", "no labels", "one type", "all rare", "every type in a donor of its own"],
)
def test_cells_that_cannot_be_scored_say_why(obs: pd.DataFrame, status: str, words: str) -> None:
    with pytest.raises(NoScoreError, match=words) as none:
        design(obs)
    assert none.value.status == status


def test_cells_without_a_type_or_a_donor_are_counted_and_left_out() -> None:
    obs = cells()
    obs.iloc[:7, 0], obs.iloc[7:12, 1] = "", ""
    made = design(obs)
    assert re.search("7 .*cell type.*5 .*donor", made.remark)
    assert len(made.cells) == len(obs) - 12


def test_of_many_cells_a_sample_is_drawn_by_the_seed_alone() -> None:
    obs = cells(n_cells=400)
    made, shuffled = design(obs, most_cells=300), design(obs[::-1], most_cells=300)
    assert "300 of 400 cells" in made.remark
    assert list(obs.index[made.cells]) == list(obs[::-1].index[shuffled.cells])
    assert list(made.cells) != list(design(obs, seed=2, most_cells=300).cells)


def test_donors_are_resampled_where_there_are_enough() -> None:
    many, few = design(cells(n_donors=10)), design(cells(n_donors=9))
    assert many.units == [f"donor {k}" for k in range(10)]
    assert "any donors" in many.remark
    assert len(few.units) == 240
    assert "these donors" in few.remark


def test_shuffling_keeps_how_many_cells_of_a_type_each_donor_and_batch_has() -> None:
    obs = cells().assign(batch=np.repeat(["a", "b"], 120))
    made = design(obs, shuffles=3)
    where = (obs["donor"] + obs["batch"]).to_numpy()[made.cells]
    true = pd.crosstab(where, made.types)
    assert made.shuffled.shape == (3, 240)
    for shuffled in made.shuffled:
        assert pd.crosstab(where, shuffled).equals(true)
        assert (shuffled != made.types).mean() > 0.4


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=60), st.integers(2, 6))
def test_grouped_folds_hold_whole_groups_and_none_is_empty(groups: list[str], n_folds: int) -> None:
    folds = grouped_folds(groups, n_folds)
    assert n_folds_of(folds, groups) == {1}
    assert len(set(folds)) == min(n_folds, len(set(groups)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(2, 6))
def test_stratified_folds_hold_every_type_alike(types: list[int], n_folds: int) -> None:
    names = [f"cell {k}" for k in range(len(types))]
    folds = stratified_folds(np.array(types), names, n_folds, Chance(1, names))
    for kind in set(types):
        sizes = np.bincount(folds[np.array(types) == kind], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
