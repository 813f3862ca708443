"""Settings of a condition's cells: unknown keys and impossible values are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError


def test_defaults_are_those_of_a_plain_file() -> None:
    settings = CellSettings.read({})
    assert (settings.kind, settings.values, settings.task) == ("h5ad", "counts", None)
    assert settings.quality.min_genes_per_cell is None


def test_one_label_or_several_are_read_alike() -> None:
    assert CellSettings.read({"control": "NTC"}).control == ("NTC",)
    assert CellSettings.read({"subset": {"day": [2, 4]}}).subset == {"day": ("2", "4")}
    assert CellSettings.read({"root": {"time": 2}}).root == {"time": ("2",)}


def test_what_only_describes_the_dataset_is_kept_apart() -> None:
    settings = CellSettings.read({"citation": "Paul 2015", "licence": "MIT", "source": {"path": "x"}})
    assert settings.about == {"citation": "Paul 2015", "licence": "MIT"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"colums": {}}, "unknown key 'colums'; did you mean 'columns'"),
        ({"quality": {"min_genes": 3}}, "quality: unknown key 'min_genes'"),
        ({"quality": {"min_genes_per_cell": "many"}}, "min_genes_per_cell: expected a number"),
        ({"quality": {"min_genes_per_cell": -1}}, "min_genes_per_cell: expected a number from 0"),
        ({"quality": [3]}, "expected keys and values, found list"),
        ({"selection": {"most_cells": 2.5}}, "most_cells: expected a whole number"),
        ({"selection": {"most_cells": True}}, "most_cells: expected a whole number"),
        ({"kind": "h5"}, "kind: 'h5' is not allowed; did you mean 'h5ad'"),
        ({"values": "log"}, "values: 'log' is not allowed"),
        ({"task": "trajectories"}, "did you mean 'trajectory'"),
        ({"columns": ["time"]}, "columns: expected keys and values"),
        ({"recover_counts": {"totals": "x"}}, "unknown key 'totals'; did you mean 'total'"),
    ],
)
def test_what_cannot_be_meant_is_refused(found: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CellSettings.read(found)
