"""``import layerscope`` costs nothing, and what is asked for imports no more than it needs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import layerscope as ls
from layerscope.doors import keywords
from layerscope.tasks.catalogue import TASKS

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "scanpy", "pydeseq2", "sklearn", "matplotlib")
SECOND = 1e6


def imported(code: str) -> dict[str, int]:
    """Modules that a new Python imports, and the microseconds that each takes with all it imports."""
    words = [sys.executable, "-X", "importtime", "-c", code]
    environment = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": ""}
    run = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    lines = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)$", run.stderr, re.M)
    return {name: int(microseconds) for microseconds, name in lines}


def test_the_package_is_imported_in_far_less_than_a_second() -> None:
    modules = imported("import layerscope")
    assert modules["layerscope"] < SECOND / 2
    assert not {"pandas", "numpy", "pydantic", *HEAVY} & modules.keys()


@pytest.mark.parametrize("name", ["embed", "score", "recommend", "Layers", "Scores", "Recommendation"])
def test_no_door_imports_what_it_may_not_need(name: str) -> None:
    modules = imported(f"import layerscope; layerscope.{name}")
    assert not set(HEAVY) & modules.keys()


def test_every_door_is_listed_and_typed() -> None:
    assert set(ls.DOORS) <= set(dir(ls))
    stub = (ROOT / "workflow/layerscope/__init__.pyi").read_text(encoding="utf-8")
    assert all(f" as {name}\n" in stub for name in ls.DOORS)
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = ls.scores


def test_help_and_completion_know_every_setting() -> None:
    shown, words = inspect.signature(ls.score).parameters, ls.score.__doc__ or ""
    for task in TASKS.values():
        for protocol in task.protocols:
            for name, entry in type(task.settings_of(protocol, {})).model_fields.items():
                assert name in shown and f"\n{name}\n" in words
                assert repr(entry.default) in words
        assert set(task.keywords) <= set(shown)
    assert {"matrix", "quality", "donor", "gene_names"} <= set(shown)
    assert {"device", "dtype", "matrix"} <= set(inspect.signature(ls.embed).parameters)


def test_no_keyword_means_two_things() -> None:
    columns = {*keywords.COLUMNS, "columns", keywords.GENE_NAMES}
    for task in TASKS.values():
        settings = {name for kind in task.protocols for name in type(task.settings_of(kind, {})).model_fields}
        assert not settings & {*columns, *keywords.OF_CELLS, *task.keywords} - {*task.column_settings}


def test_a_notebook_runs_models_without_what_is_set_up_for_scripts() -> None:
    """The command line tunes the collection of garbage for jobs that start anew; a session keeps its own."""
    assert "layerscope.command_line" not in imported("import layerscope.extraction.job")
