"""Captions of Snakemake's own report are valid text and name simulated cells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment

core = pytest.importorskip("docutils.core", reason="docutils comes with snakemake[reports]")
FOLDER = Path(__file__).parents[2] / "workflow" / "report"
CONFIG = {
    "study": {"title": "A study", "conditions": ["drawn", "measured"]},
    "conditions": {
        "drawn": {"dataset": "simulation", "task": "trajectory"},
        "measured": {"dataset": "screen", "task": "perturbation"},
    },
    "datasets": {
        "simulation": {"source": {"simulate": "differentiation"}},
        "screen": {"source": {"path": "x"}},
    },
}


def rendered(name: str, task: str = "trajectory") -> str:
    """The caption as Snakemake makes it: Jinja, then reStructuredText; any warning is an error."""
    wildcards = SimpleNamespace(task=task, protocol="paper")
    snakemake = SimpleNamespace(config=CONFIG, wildcards=wildcards)
    text = Environment().from_string((FOLDER / name).read_text()).render(snakemake=snakemake)
    parts = core.publish_parts(text, writer="html", settings_overrides={"halt_level": 2})
    return " ".join(parts["body"].split())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.rst")), ids=lambda path: path.name)
def test_a_caption_is_valid_text(path):
    assert "<p>" in rendered(path.name)
