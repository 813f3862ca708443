"""Which cells are scored, and when there is nothing to score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from integration_cells import cells
from scipy.stats.contingency import association, crosstab

from layerscope.tasks.folds import crossed
from layerscope.tasks.integration.design import balanced_cells, cramers_v, design_of
from layerscope.tasks.integration.settings import IntegrationSettings
from layerscope.tasks.scored import NoScoreError

SETTINGS = IntegrationSettings(shuffles=4)


def test_types_that_lie_in_one_batch_each_are_refused_with_cramers_v() -> None:
    obs = cells()
    obs["batch"] = "batch " + obs["cell_type"].str[5:]
    with pytest.raises(NoScoreError, match=r"confounded.*Cramer's V 1\.00") as refused:
        design_of(obs, SETTINGS, 1)
    assert refused.value.status == "undefined"


@pytest.mark.parametrize("stray", [0, 9])
def test_one_type_in_common_and_stray_cells_are_not_enough(stray: int) -> None:
    obs = cells(n_batches=2)
    alone = (obs["cell_type"] != "type 0").to_numpy()
    obs.loc[alone, "batch"] = np.where(obs.loc[alone, "cell_type"] == "type 1", "batch 0", "batch 1")
    some = np.flatnonzero((obs["cell_type"] == "type 1").to_numpy())[:stray]
    obs.iloc[some, obs.columns.get_loc("batch")] = "batch 1"
    with pytest.raises(NoScoreError, match="confounded"):
        design_of(obs, SETTINGS, 1)
    some = np.flatnonzero((obs["cell_type"] == "type 1").to_numpy())[:10]
    obs.iloc[some, obs.columns.get_loc("batch")] = "batch 1"
    assert design_of(obs, SETTINGS, 1).tested.any()


def test_one_batch_is_nothing_to_mix_and_no_column_is_not_available() -> None:
    with pytest.raises(NoScoreError, match="one label") as refused:
        design_of(cells(n_batches=1), SETTINGS, 1)
    assert refused.value.status == "undefined"
    for column in ("batch", "cell_type"):
        with pytest.raises(NoScoreError, match=column) as refused:
            design_of(cells().drop(columns=column), SETTINGS, 1)
        assert refused.value.status == "not_available"
    with pytest.raises(NoScoreError, match="no column site"):
        design_of(cells(), SETTINGS.model_copy(update={"batch": "site"}), 1)


def test_cramers_v_is_scipys() -> None:
    random = np.random.default_rng(0)
    types, batches = random.integers(0, 4, 300), random.integers(0, 3, 300)
    batches = np.where(random.random(300) < 0.3, types % 3, batches)
    expected = association(crosstab(types, batches).count, method="cramer")
    assert cramers_v(crossed(types, batches)) == pytest.approx(expected)


def test_mixing_has_as_many_cells_of_every_batch_of_a_type() -> None:
    obs = cells(n_cells=1200)
    obs = obs[(obs["batch"] != "batch 0") | (np.arange(1200) % 3 == 0)]
    design = design_of(obs, SETTINGS, 1)
    table = crossed(design.types[design.balanced], design.batches[design.balanced])
    assert (table == table[:, :1]).all()
    assert table.min() >= SETTINGS.cells_per_batch


def test_a_small_batch_of_a_type_does_not_enter_its_mixing() -> None:
    types, batches = np.repeat([0, 1], 90), np.tile(np.repeat([0, 1, 2], [40, 40, 10]), 2)
    chosen = balanced_cells(types, batches, 30, np.arange(180).astype(np.uint64))
    assert crossed(types[chosen], batches[chosen]).tolist() == [[40, 40], [40, 40]]
    assert not balanced_cells(types, batches, 41, np.arange(180).astype(np.uint64)).any()


def test_whole_batches_are_held_out_and_every_tested_type_is_in_two_parts() -> None:
    obs = cells()
    obs.loc[obs.index[:20], "cell_type"] = "rare"
    obs.loc[obs.index[:20], "batch"] = "batch 1"
    design = design_of(obs, SETTINGS, 1)
    assert all(len(set(design.folds[design.batches == batch])) == 1 for batch in range(3))
    names = obs["cell_type"].to_numpy()[design.cells]
    assert set(names[~design.tested]) == {"rare"}
    assert "rare" in design.untested


def test_shuffles_keep_the_types_of_every_batch_and_the_batches_of_every_type() -> None:
    design = design_of(cells(), SETTINGS, 1)
    table = crossed(design.types, design.batches)
    for shuffled in design.shuffled_types:
        assert (crossed(shuffled, design.batches) == table).all()
        assert (shuffled != design.types).mean() > 0.3
    for shuffled in design.shuffled_batches:
        assert (crossed(design.types, shuffled) == table).all()
        chosen = design.balanced
        assert (
            crossed(design.types[chosen], shuffled[chosen])
            == crossed(design.types[chosen], design.batches[chosen])
        ).all()


def test_cells_without_a_label_are_left_out_and_more_cells_are_drawn() -> None:
    obs = cells()
    obs.iloc[:7, 0] = pd.NA
    design = design_of(obs, SETTINGS.model_copy(update={"most_cells": 300}), 1)
    assert len(design.cells) == 300
    assert "7 cells without" in design.remark and "300 of 593" in design.remark
