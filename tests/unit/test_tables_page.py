"""The page of tables names every column of ``layers.tsv``, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import example_tables

PAGE = Path(__file__).parents[2] / "docs/reference/tables.md"


def test_the_columns_are_those_of_the_table() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## ")[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)`", "".join(rows)))
    columns = example_tables.layers().columns
    assert named <= set(columns)
    for column in columns:
        of_interval = re.sub(r"_ci_(low|high)$", "", column)
        assert {column, of_interval, f"{of_interval}_estimate"} & named, column
