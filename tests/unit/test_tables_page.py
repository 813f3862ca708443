"""The page of files and tables names every column of ``layers.tsv`` and ``scores.tsv``, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import example_tables

from layerscope.tables import Score

PAGE = Path(__file__).parents[2] / "results/README.md"


def columns_of(table: str) -> set[str]:
    """Columns that the page names in a table's section."""
    section = PAGE.read_text(encoding="utf-8").split(f"## `{table}`")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`(\w+)`", "".join(rows)))


def test_the_columns_are_those_of_the_table() -> None:
    named, columns = columns_of("layers.tsv"), example_tables.layers().columns
    assert named <= set(columns)
    for column in columns:
        of_interval = re.sub(r"_ci_(low|high)$", "", column)
        assert {column, of_interval, f"{of_interval}_estimate"} & named, column


def test_the_columns_of_a_score_are_those_of_its_row() -> None:
    assert columns_of("scores.tsv") == {field.name for field in fields(Score)}
