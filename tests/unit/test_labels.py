"""Labels as people write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.labels import among, natural_order, text


def test_numbers_in_labels_count() -> None:
    assert natural_order(["Day17", "Day3", "Day10"]) == ["Day3", "Day10", "Day17"]
    assert natural_order(["48hr", "8hr", "0.5hr"]) == ["0.5hr", "8hr", "48hr"]
    assert natural_order(["6", "2", "10"]) == ["2", "6", "10"]


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


def test_labels_are_trimmed_and_missing_ones_are_empty() -> None:
    column = pd.Series(["DC precursor ", None, "nan", "-1.0", "b"])
    assert text(column, ["-1.0"]).tolist() == ["DC precursor", "", "", "", "b"]


def test_whole_numbers_lose_their_point() -> None:
    assert text(pd.Series([2.0, np.nan, 2.5])).tolist() == ["2", "", "2.5"]
    assert text(pd.Series([2, 4])).tolist() == ["2", "4"]


def test_a_number_that_means_none_is_recognised_as_it_is_written() -> None:
    assert text(pd.Series([-1.0, 3.0]), ["-1.0"]).tolist() == ["", "3"]
    assert text(pd.Series([-1.0, 3.0]), ["-1"]).tolist() == ["", "3"]
