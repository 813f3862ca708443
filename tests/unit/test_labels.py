"""Labels as people write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.labels import among, natural_order, text


@pytest.mark.parametrize("labels", [["Day3", "Day10", "Day17"], ["0.5hr", "8hr", "48hr"], ["2", "6", "10"]])
def test_numbers_in_labels_count(labels: list[str]) -> None:
    assert natural_order(labels[::-1]) == labels


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("aB1 0.9é", max_size=5), unique=True, max_size=6))
def test_the_natural_order_does_not_depend_on_how_labels_come(labels: list[str]) -> None:
    assert natural_order(labels) == natural_order(labels[::-1]) == natural_order(sorted(labels))


def test_near_matches_come_first_and_everything_is_listed() -> None:
    assert (
        among("Time_infos", ["time_info", "batch"]) == "did you mean 'time_info'? there are: time_info, batch"
    )
    assert among("x", []) == "there are: none"
    assert among("x", [f"c{i}" for i in range(40)]).endswith("c29 and 10 more")


@pytest.mark.parametrize(
    ("column", "missing", "labels"),
    [
        (["DC precursor ", None, "nan", "-1.0", "b"], ["-1.0"], ["DC precursor", "", "", "", "b"]),
        ([2.0, np.nan, 2.5], [], ["2", "", "2.5"]),
        ([2, 4], [], ["2", "4"]),
        ([-1.0, 3.0], ["-1.0"], ["", "3"]),
        ([-1.0, 3.0], ["-1"], ["", "3"]),
    ],
)
def test_labels_are_trimmed_whole_numbers_short_and_missing_ones_empty(
    column: list[object], missing: list[str], labels: list[str]
) -> None:
    assert text(pd.Series(column), missing).tolist() == labels
