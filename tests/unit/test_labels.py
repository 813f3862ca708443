"""Labels as people write them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.labels import among, natural_order, text, words_for_missing


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


WORDS = ["NA", "N/A", "na", "nan", "NaN", "None", "none", "NULL", "<NA>", "empty", " NA ", ""]


@pytest.mark.parametrize("word", WORDS)
def test_words_for_missing_are_no_labels_unless_they_are_said_to_be(word: str) -> None:
    column = pd.Series(["B", word, "NAMPT", "nano", "#N/A"])
    kept = [word.strip(), "B", "NAMPT", "nano", "#N/A"]
    assert text(column).tolist() == ["B", "", "NAMPT", "nano", "#N/A"]
    assert set(text(column.astype("category"), not_missing=[word.strip()])) == set(kept)


def test_words_for_missing_are_counted_and_missing_values_are_not() -> None:
    column = pd.Series(["NA", "B", None, "NA", "none", ""])
    assert words_for_missing(column) == {"NA": 2, "none": 1}
    assert words_for_missing(column.astype("category"), ["NA"]) == {"none": 1}
    assert words_for_missing(pd.Series([1.0, np.nan])) == {}
