"""Simulated donors: what was given to donors, to samples and to cells is of that level."""

from __future__ import annotations

import pytest

from layerscope.demo.simulation import simulate
from layerscope.tasks.levels import level_of


@pytest.mark.parametrize(
    ("column", "level"),
    [
        ("disease", "donor"),
        ("nonsense", "donor"),
        ("age", "donor"),
        ("stimulus", "sample"),
        ("cell_type", "cell"),
    ],
)
def test_labels_of_the_cohort_are_of_their_level(column: str, level: str) -> None:
    obs = simulate("cohort", {"genes": 300, "donors": 8, "cells_per_sample": 10}, 1).obs
    assert level_of(obs, column).level == level
    assert obs[column].nunique() == {"cell_type": 3, "age": 4}.get(column, 2)
