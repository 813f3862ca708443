"""What can be set of a model is documented, with its default."""

import re
from pathlib import Path

import pytest
from model_examples import load_geneformer, load_scfoundation, load_scgpt, load_tahoe_x1
from transcriptformer_examples import load_transcriptformer
from uce_examples import load_uce

GUIDE = Path(__file__).parents[2] / "docs" / "models.md"


@pytest.mark.parametrize(
    "load",
    [load_scfoundation, load_tahoe_x1, load_scgpt, load_geneformer, load_transcriptformer, load_uce],
)
def test_every_setting_of_a_family_stands_in_its_section(load):
    model = load()
    section = re.search(rf"^## {model.family}\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.M | re.S)
    assert section is not None
    for name in model.settings:
        assert f"`{name}`" in section[1], name
