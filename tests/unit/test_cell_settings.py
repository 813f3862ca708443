"""Settings of a condition's cells: unknown keys and impossible values are refused by name."""

import pytest

from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError


def test_one_label_or_several_are_read_alike():
    assert CellSettings.read({"control": "NTC"}).control == ("NTC",)
    assert CellSettings.read({"subset": {"day": [2, 4]}}).subset == {"day": ("2", "4")}
    assert CellSettings.read({"root": {"time": 2}}).root == {"time": ("2",)}


def test_what_only_describes_the_dataset_is_kept_apart():
    settings = CellSettings.read({"citation": "Paul 2015", "licence": "MIT", "source": {"path": "x"}})
    assert settings.about == {"citation": "Paul 2015", "licence": "MIT"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"quality": {"min_genes": 3}}, "quality: unknown key 'min_genes'"),
        ({"quality": {"min_genes_per_cell": -1}}, "quality: min_genes_per_cell: found -1"),
        ({"task": "trajectories"}, "task: 'trajectories' is not allowed"),
        ({"control": [["NTC"]]}, "control: found .'NTC'.; expected labels"),
    ],
)
def test_what_cannot_be_meant_is_refused(found, words):
    with pytest.raises(ConfigError, match=words):
        CellSettings.read(found)
