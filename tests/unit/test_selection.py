"""The choice of cells depends on the seed and the cells' names, never on their order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.selection import capped, choose, stable_order
from layerscope.cells.settings import Selection
from layerscope.errors import DataError


def cells(sizes: dict[str, int], seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = np.repeat(list(sizes), list(sizes.values())).astype(object)
    n = len(names)
    return pd.DataFrame(
        {
            "perturbation": names,
            "is_control": names == "NT",
            "guide": [f"{name}-{number}" for name, number in zip(names, rng.integers(1, 3, n), strict=True)],
            "batch": rng.choice(["l1", "l2", "l3"], n),
        },
        index=[f"c{i}" for i in range(n)],
    )


def kept(obs: pd.DataFrame, **selection: int) -> dict[str, int]:
    chosen = obs[choose(obs, Selection(**selection), "f")]
    return {str(name): int(n) for name, n in chosen["perturbation"].value_counts().items()}


def test_the_perturbations_with_most_cells_are_kept_ties_by_name():
    obs = cells({"NT": 9, "b": 5, "a": 5, "c": 7, "d": 2, "": 40})
    assert kept(obs, most_cells=2) == {"NT": 9, "c": 7, "a": 5}
    assert kept(obs, min_cells=5) == {"NT": 9, "c": 7, "a": 5, "b": 5}
    assert kept(obs) == {"NT": 9, "c": 7, "a": 5, "b": 5, "d": 2}


def test_caps_hold_for_perturbations_and_for_controls():
    obs = cells({"NT": 90, "a": 50, "b": 20})
    assert kept(obs, max_cells_per_perturbation=30, max_control_cells=40) == {"NT": 40, "a": 30, "b": 20}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50), most=st.integers(1, 80), order=st.integers(0, 99))
def test_the_choice_does_not_depend_on_the_order_of_cells(seed, most, order):
    obs = cells({"a": 70})
    shuffled = obs.iloc[np.random.default_rng(order).permutation(len(obs))]
    one = set(obs.index[capped(obs.index, obs[["guide", "batch"]], most, seed)])
    other = set(shuffled.index[capped(shuffled.index, shuffled[["guide", "batch"]], most, seed)])
    assert one == other
    assert len(one) == min(most, 70)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50), share=st.floats(0.1, 0.9))
def test_every_guide_and_batch_keeps_its_share(seed, share):
    obs = cells({"a": 200}, seed)
    most = int(share * len(obs))
    chosen = obs[capped(obs.index, obs[["guide", "batch"]], most, seed)]
    before = obs.groupby(["guide", "batch"]).size()
    after = chosen.groupby(["guide", "batch"]).size().reindex(before.index, fill_value=0)
    assert (np.abs(after - before * most / len(obs)) <= 1).all()


def test_other_seeds_choose_other_cells():
    obs = cells({"a": 100})
    for strata in (obs[["guide"]], obs[[]]):
        chosen = {tuple(obs.index[capped(obs.index, strata, 30, seed)]) for seed in [*range(5), 0]}
        assert len(chosen) == 5
    assert len(np.unique(stable_order(obs.index, 0))) == 100


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"NT": 9, "a": 5}, r"no perturbation has 30 cells \(the largest has 5 cells\)"),
        ({"a": 35}, "no control cells are left"),
        ({"NT": 5}, "there are none"),
    ],
)
def test_nothing_left_is_refused(sizes, words):
    with pytest.raises(DataError, match=words):
        kept(cells(sizes), min_cells=30)
