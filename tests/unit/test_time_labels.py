"""Sampling times are read with signs and units; what is a guess is said, what has no order gets none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.cells.time_labels import order_times

READ = [
    ["0min", "30min", "2h", "24h", "3d"],
    ["10 secs", "1 minute", "1 hour", "1 day", "1 week", "1 month", "1 year"],
    ["Day -2", "Day 0", "Day 2", "Day 10"],
    ["Day-0", "Day-2", "Day-10"],
    ["-2", "0", "2", "10"],
    ["\N{MINUS SIGN}2 d", "0 d", "2 d"],
    ["T-1", "T0", "T1"],
    ["T0", "24h", "3d"],
    ["0", "2h", "24h"],
    ["E8.5", "E10.5", "P0", "P7"],
    ["E8.5d", "E10"],
    ["GW8", "10PCW", "12pcw"],
    ["5m", "2h", "1d"],
    ["3m", "18m", "24m"],
    ["Week_2", "Week_10"],
    ["0-30 min", "30-60 min", "2 h"],
    ["1h30min", "100 min", "2h"],
    ["12 h", "12 h 30 min", "13 h"],
    ["minus 2 d", "2 d"],
    ["D-7", "D0", "D+7"],
    ["0,5h", "2h"],
    ["day3 rep1", "day10 rep1"],
    ["H9 day 5", "H9 day 10"],
    ["2h 500nM", "24h 500nM"],
    ["2021-03-05", "2021-11-01"],
]
GUESSED = [
    (["iPSC", "d2", "d10", "d21"], "iPSC"),
    (["baseline", "1h", "week 2"], "baseline"),
    (["Rest", "Stim8hr", "Stim48hr"], "Rest"),
    (["300_minutes", "500_minutes", "mixed"], "mixed"),
    (["E8.5", "E10.5", "P0", "P4", "8wk"], "ages after birth"),
    (["2h", "1d", "24h"], "same time"),
    (["naive", "early", "late"], "no number"),
]


@pytest.mark.parametrize("labels", READ, ids=" ".join)
def test_times_with_signs_and_units_are_read(labels):
    order = order_times(labels[::-1])
    assert (order.labels, order.guess, order.conflict) == (labels, "", "")


@pytest.mark.parametrize(("labels", "word"), GUESSED)
def test_what_no_number_tells_is_a_guess(labels, word):
    order = order_times(labels[::-1])
    assert order.labels == labels
    assert word in order.guess and not order.conflict


@pytest.mark.parametrize(
    "labels",
    [["2", "24h"], ["d2", "10"], ["stage 3", "2h"], ["3d", "5m"], ["E8.5", "3d"], ["passage 3", "week 2"]],
)
def test_numbers_of_different_things_have_no_order(labels):
    order = order_times(labels)
    assert all(label in order.conflict for label in labels)


def test_words_keep_the_order_in_which_a_file_lists_them_unless_that_is_the_alphabet():
    stages = ["young", "adult", "old"]
    assert order_times(sorted(stages), stages).labels == stages
    assert order_times(["b", "a"], ["a", "b"]).labels == ["a", "b"]
    assert order_times(["d10", "d2"], ["d10", "d2"]).labels == ["d2", "d10"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("0123456789 -dhmEP_.x", min_size=1, max_size=7), unique=True, max_size=6))
def test_no_label_is_lost_and_their_order_does_not_matter(labels):
    order = order_times(labels)
    assert sorted(order.labels) == sorted(labels)
    assert order_times(labels[::-1]).labels == order.labels
