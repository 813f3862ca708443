"""The task integration in a study: its columns, its baselines, and the study that `init` drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from program_cells import N_CELLS, write
from study_configs import read

from layerscope import program
from layerscope.doors import studies
from layerscope.errors import ConfigError
from layerscope.study import jobs
from layerscope.study.runs import Study


def study(**condition: Any) -> Study:
    """A study of batches of simulated cells, with baselines that are told of them."""
    entries = read("models.yaml", "datasets.yaml")
    entries["conditions"]["simulated_batches"] |= condition
    entries["datasets"]["simulated_differentiation"]["labels"] = ["chip"]
    models = ["embedded_tahoe_x1", "hvg_pca", "harmony_pca", "scvi"]
    return Study.read(
        entries | {"study": {"title": "t", "conditions": ["simulated_batches"], "models": models}}
    )


def test_a_condition_names_its_columns() -> None:
    assert study().needed_columns("simulated_batches") == ("batch", "cell_type")
    chosen = study(settings={"batch": "chip"})
    assert chosen.needed_columns("simulated_batches") == ("chip", "cell_type")
    assert jobs.score_settings(chosen, "simulated_batches", "strict")["batch"] == "chip"
    with pytest.raises(ConfigError, match=r"'slide' .*kept"):
        study(settings={"batch": "slide"})


def test_baselines_whose_package_is_not_installed_are_rows_and_no_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("layerscope.models.catalogue.find_spec", lambda _: None)
    remedies = {row["model"]: row["reason"].partition("pip install ")[2] for row in study().unavailable()}
    assert remedies == {"harmony_pca": "harmonypy)", "scvi": "scvi-tools)"}
    assert {model for _, model in study().runs()} == {"embedded_tahoe_x1", "hvg_pca"}
    monkeypatch.setattr("layerscope.models.catalogue.find_spec", lambda name: name)
    assert not study().unavailable()
    assert len(study().runs()) == 4


def test_baselines_that_use_batches_say_so_in_their_title() -> None:
    for model in ("harmony_pca", "scvi"):
        assert "uses batch labels" in str(study().models[model].title)


def test_init_drafts_a_study_of_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    number = np.arange(N_CELLS)
    types = [f"type {i % 3}" for i in number]
    write(Path("blood.h5ad"), {"annotation": types, "chemistry": [f"v{i // 120}" for i in number]})
    program.main(["init", "blood.h5ad", "--task", "integration"])
    drafted = studies.read("study.yaml")
    assert drafted.tasks() == ["integration"]
    assert not {"harmony_pca", "scvi"} & set(drafted.study.models)
    assert drafted.needed_columns("blood") == ("batch", "cell_type")
    write(Path("other.h5ad"), {"annotation": types})
    with pytest.raises(SystemExit):
        program.main(["init", "other.h5ad", "--task", "integration", "--output", "other.yaml"])
