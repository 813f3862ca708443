"""Time: samples of held-out donors in the order of their times, and what times dealt anew give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from layerscope.tables import Score, Subject
from layerscope.tasks.scored import NoScoreError
from layerscope.tasks.time.design import design_of
from layerscope.tasks.time.regression import principal_axes
from layerscope.tasks.time.scores import score_layer
from layerscope.tasks.time.settings import TimeSettings

QUICK = {"resamples": 200, "splits": 10, "dealings": 200, "refits": 5}
SUBJECT = Subject(condition="blood", model="m", layer="03", depth=0.5, task="time", protocol="strict", seed=1)
CELLS, WIDTH = 15, 6


def cells(level: str, n_donors: int = 8, n_times: int = 4, seed: int = 0) -> pd.DataFrame:
    """Donors of one time each (level donor), of a sample for every time, or of cells of all times."""
    random = np.random.default_rng(seed)
    per_donor = CELLS if level == "donor" else CELLS * n_times
    donor = np.repeat(np.arange(n_donors), per_donor)
    if level == "donor":
        time = donor % n_times
    elif level == "sample":
        time = np.tile(np.repeat(np.arange(n_times), CELLS), n_donors)
    else:
        time = np.concatenate([random.permutation(per_donor) % n_times for _ in range(n_donors)])
    sample = donor if level == "cell" else donor * n_times + time
    labels = {"donor": [f"d{k}" for k in donor], "sample": [f"s{k}" for k in sample]}
    ordered = pd.Categorical.from_codes(time, [f"day {k}" for k in range(n_times)], ordered=True)
    return pd.DataFrame(labels | {"time": ordered}, index=[f"cell{k}" for k in range(len(donor))])


def layer(obs: pd.DataFrame, signal: float, of_donor: float = 1.0, seed: int = 0) -> npt.NDArray[np.float64]:
    """Vectors that know time as strongly as the signal says, and always their donor."""
    random = np.random.default_rng(seed)
    donor = pd.factorize(obs["donor"])[0]
    shift = of_donor * random.normal(size=(donor.max() + 1, WIDTH))[donor]
    vectors = random.normal(size=(len(obs), WIDTH)) + shift
    vectors[:, 0] += signal * obs["time"].cat.codes.to_numpy()
    return np.asarray(vectors)


def scored(obs: pd.DataFrame, matrix: npt.NDArray[np.float64], **settings: Any) -> dict[str, Score]:
    chosen = TimeSettings.read(QUICK | settings)
    made = score_layer(matrix, design_of(obs, chosen, 1), chosen, SUBJECT)
    return {row.metric: row for row in made.rows}


@pytest.mark.parametrize("level", ["donor", "sample", "cell"])
def test_the_order_of_times_is_found_at_every_level_and_not_where_there_is_none(level: str) -> None:
    obs = cells(level)
    with_time = scored(obs, layer(obs, signal=3.0))
    assert f"level {level}" in with_time["tau"].reason
    assert with_time["tau"].estimate > 0.7
    assert with_time["tau"].p_value <= 0.05
    assert with_time["left_out_time"].estimate > 0.7
    without = [scored(obs, layer(obs, signal=0.0, seed=seed))["tau"] for seed in range(10)]
    assert np.mean([row.estimate - row.null_mean for row in without]) == pytest.approx(0, abs=0.25)
    assert sum(row.p_value <= 0.05 for row in without) <= 3


def test_times_in_reverse_or_shuffled_among_donors_are_no_order() -> None:
    """A measure of neighbours in time gives the same for times that are dealt to the wrong donors."""
    obs = cells("donor", n_donors=12)
    matrix = layer(obs, signal=3.0)
    random = np.random.default_rng(0)
    codes = obs["time"].cat.codes.to_numpy().reshape(-1, CELLS)[:, 0]
    dealt = []
    for _ in range(10):
        time = pd.Categorical.from_codes(np.repeat(random.permutation(codes), CELLS), dtype=obs["time"].dtype)
        dealt.append(scored(obs.assign(time=time), matrix)["tau"].estimate)
    assert np.mean(dealt) < 0.2 < scored(obs, matrix)["tau"].estimate


def test_chance_is_below_zero_for_few_samples_so_the_null_is_what_counts() -> None:
    obs = cells("donor", n_donors=8, n_times=8)
    row = scored(obs, layer(obs, signal=0.0))["tau"]
    assert row.null_mean < -0.1


def test_a_time_that_trained_nothing_is_placed_between_its_neighbours() -> None:
    obs = cells("sample", n_donors=8, n_times=3)
    beyond = layer(obs, signal=0.0, of_donor=0.1)
    beyond[:, 0] += np.array([0.0, 6.0, 3.0])[
        obs["time"].cat.codes.to_numpy()
    ]  # the middle time is outermost
    straight = layer(obs, signal=3.0, of_donor=0.1)
    assert scored(obs, straight)["left_out_time"].estimate > 0.95
    assert scored(obs, beyond)["left_out_time"].estimate == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("obs", "named"),
    [
        (cells("donor", n_donors=5), "5 donors"),
        (cells("sample", n_times=2), "2 times"),
        (cells("sample").drop(columns=["donor", "sample"]), "no donors"),
    ],
)
def test_too_few_times_or_donors_have_no_score_and_the_count_is_said(obs: pd.DataFrame, named: str) -> None:
    with pytest.raises(NoScoreError, match=named):
        design_of(obs, TimeSettings(), 1)


@pytest.mark.parametrize("shape", [(40, 300), (300, 40)])
def test_the_leading_axes_are_those_of_all_columns_whichever_table_is_smaller(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    axes = principal_axes(vectors, 10)
    standard = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    _, strengths, directions = np.linalg.svd(standard, full_matrices=False)
    assert np.linalg.norm(axes, axis=0) == pytest.approx(strengths[:10])
    assert np.abs(axes) == pytest.approx(np.abs(standard @ directions[:10].T), abs=1e-6)


def test_what_is_worked_out_of_the_groups_is_shared_by_shuffles_that_keep_them() -> None:
    design = design_of(cells("sample"), TimeSettings.read(QUICK), 1)
    taken = design.among(np.ones(len(design.cells), dtype=bool))
    assert all(times.group is taken.times.group for times in taken.shuffled)
