"""What figures and report say of a study beside its tables."""

from __future__ import annotations

from contextlib import suppress
from importlib import metadata
from typing import Any

import layerscope
from layerscope.models.entries import Control, FoundationModel, StoredModel
from layerscope.settings import stated
from layerscope.study.runs import Study
from layerscope.tasks.catalogue import TASKS

PACKAGES = ("layerscope", "snakemake", "torch", "scanpy", "anndata", "pydeseq2", "numpy", "scipy", "pandas")
# what a model's entry sets of how it is run
MODEL_SETTINGS = {"family", "layers", "up_to", "control", "of", "seed", "peak", "pooling", "set", "settings"}


def study_description(study: Study) -> dict[str, Any]:
    """The study's title, conditions in their order, models, settings, seeds and the packages' versions."""
    return {
        "title": study.study.title,
        "order": list(study.study.conditions),
        "conditions": {name: _condition(study, name) for name in study.study.conditions},
        "models": {name: _model(study, name) for name in study.study.all_models},
        "config": _settings(study),
        "seeds": study.seeds.as_config(),
        "versions": _versions(),
    }


def _model(study: Study, name: str) -> dict[str, Any]:
    entry, trained = study.models[name], study.trained(name)
    foundation = trained if isinstance(trained, FoundationModel) else None
    pretrain = foundation.weights.pretrain if foundation else None
    control = entry.control if isinstance(entry, Control | StoredModel) else None
    about = {key: getattr(trained, key, "") for key in ("licence", "citation", "trained_on")}
    return {
        "kind": "control" if control else "foundation" if study.n_layers(name) else "baseline",
        "family": trained.family,
        "control": control,
        "of": entry.of if isinstance(entry, Control | StoredModel) else None,
        "layers": study.n_layers(name),
        **(foundation.network.around_blocks() if foundation and foundation.network else {}),
        "title": entry.title or name,
        **about,
        **(_pretrained(pretrain.cells) if pretrain else {}),
    }


def _pretrained(cells: str) -> dict[str, Any]:
    return {"trained_on": f"pretrained here on {cells}", "pretrained_here": True}


def _condition(study: Study, name: str) -> dict[str, Any]:
    dataset = study.dataset(name)
    return {
        "title": study.conditions[name].title or name,
        "task": study.task(name),
        "cells": study.cells_of(name),
        "coloured_by": _coloured_by(study, name),
        "dataset": study.dataset_name(name),
        "dataset_title": dataset.title,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "simulated": study.is_simulated(name),
        "note": _note(study, name),
    }


def _coloured_by(study: Study, condition: str) -> list[str]:
    """Columns of obs that pictures of a condition's cells may be coloured by, the preferred one first."""
    task = study.task(condition)
    return [*study.needed_columns(condition), *(TASKS[task].coloured_by if task in TASKS else ())]


def _note(study: Study, condition: str) -> str:
    """What the cells cannot show, and which models were pretrained on them."""
    models = [name for name in study.study.models_on(condition) if name in study.pretrained_models()]
    known = [name for name in models if study.pretraining_condition(name) == study.cells_of(condition)]
    about = f"Pretrained on these very cells, without their labels: {', '.join(known)}." if known else ""
    return " ".join(filter(None, [study.dataset(condition).note, about]))


def _settings(study: Study) -> dict[str, Any]:
    """The configuration that the report prints: what was studied and how, with the defaults of all keys.

    The title is no setting: it heads the page, and another one changes no table.
    """
    conditions = {
        name: stated(study.conditions[name]) | {"dataset": study.dataset_name(name)}
        for name in study.study.conditions
    }
    models = {
        name: study.models[name].model_dump(mode="json", exclude_unset=True, include=MODEL_SETTINGS)
        for name in study.study.all_models
    }
    studied = study.study.model_dump(mode="json", exclude={"title"})
    sections = ("extraction", "pretraining", "resampling", "choice", "geometry")
    settings = {"study": studied, "conditions": conditions, "models": models}
    settings |= {"quality": study.quality.stated()}
    settings |= {name: getattr(study, name).as_config() for name in sections}
    for task in study.tasks():
        protocols = getattr(study, task)
        settings[task] = {of: getattr(protocols, of).as_config() for of in protocols.keys()}  # noqa: SIM118
    return settings


def _versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on, where they are installed beside Snakemake."""
    versions = {"layerscope": layerscope.__version__}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
