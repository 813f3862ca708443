"""A study as the command runs it: by Snakemake, from any folder, with what it will cost."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope import layout
from layerscope.doors.catalogues import model_run, weights_here
from layerscope.doors.cost import ModelRun
from layerscope.errors import ConfigError
from layerscope.installation import repository
from layerscope.sources.cache import named_cache
from layerscope.study import jobs
from layerscope.study.file import read_study
from layerscope.study.runs import Study

CATALOGUES = ("config/models.yaml", "config/datasets.yaml")
HOW_MANY = ("-c", "--cores", "-j", "--jobs", "--profile", "--workflow-profile", "--executor", "-e")
"""Arguments of Snakemake by which a user says where jobs run."""
DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]{0,2}n[a-zA-Z]{0,2}")
"""Words by which Snakemake plans and runs nothing: also ``-np``."""


def read(path: str | Path) -> Study:
    """The study of a file, over the catalogues that the workflow brings; a ConfigError if it is wrong."""
    return study_of(read_study(path))


def study_of(given: Mapping[str, Any]) -> Study:
    """The study that such a file would hold."""
    config: dict[str, Any] = {}
    for catalogue in CATALOGUES:
        config = merged(config, read_study(repository() / catalogue))
    return Study.read(merged(config, given))


def merged(config: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration over another, mapping into mapping, as Snakemake does it."""
    both = dict(config)
    for key, value in more.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return both


def snakemake(study: str | Path, arguments: Sequence[str]) -> int:
    """Run a study in the current folder by Snakemake, which must be installed; its exit status."""
    if importlib.util.find_spec("snakemake") is None:
        raise ConfigError("run: Snakemake is not installed; pip install 'layerscope[workflow]', or snakemake")
    workflow = repository() / "workflow"
    words = ["--logger", "layerscope", "--snakefile", str(workflow.parent / "Snakefile")]
    words += ["--configfile", str(study), *arguments]
    said = {word.partition("=")[0] for word in arguments}
    if not any(word in HOW_MANY or word[:2] in ("-c", "-j") for word in said):
        words += ["--cores", "all"]
    # Snakemake finds the logger by its name, and not in every kind of installation
    path = os.pathsep.join(filter(None, [str(workflow), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "snakemake", *words]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode


def is_dry(arguments: Sequence[str]) -> bool:
    """Whether such arguments make Snakemake plan and run nothing."""
    return any(DRY_RUN.fullmatch(word) for word in arguments)


def model_runs(study: Study) -> list[ModelRun]:
    """Every run of a network over a condition's cells that is still to be done."""
    pairs = dict.fromkeys((study.cells_of(condition), model) for condition, model in study.runs())
    cells = {condition: _cells(study, condition) for condition, _ in pairs}
    return [
        _model_run(study, condition, model, cells[condition])
        for condition, model in pairs
        if study.kind(model) == "network" and not Path(layout.embeddings(condition, model)).exists()
    ]


def _cells(study: Study, condition: str) -> dict[str, Any]:
    """How many cells a condition has, by its prepared file or its source, whichever is here."""
    from layerscope.cells.describe import describe

    ready = Path(layout.cells(condition))
    given = jobs.source_file(study, condition)
    source = ready if ready.exists() or isinstance(given, list) else Path(given)
    if not source.exists():
        return {"unknown": "its cells are not here yet"}
    described = describe(source)
    most = study.conditions[condition].max_cells or len(described.cell_ids)
    return {
        "n_cells": min(most, len(described.cell_ids)),
        "genes_detected": described.genes_detected,
        "at_most": source is not ready,
    }


def _model_run(study: Study, condition: str, model: str, cells: Mapping[str, Any]) -> ModelRun:
    entry, place = study.foundation(model), weights_here(model, study.foundation(model))
    here = place == "study" or (place == "cache" and named_cache() is not None)
    fetched = model == study.trained_model(model) and not here
    return model_run(f"{condition}, {model}", entry, fetched, study.extraction.store, **cells)
