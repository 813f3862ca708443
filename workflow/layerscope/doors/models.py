"""The models that a call can name, and their weights in a cache that all studies and calls share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from layerscope.errors import ConfigError
from layerscope.installation import repository
from layerscope.models.catalogue import FAMILIES
from layerscope.models.entries import Baseline, Control, FoundationModel, ModelEntry, PlantedModel
from layerscope.settings import demand_known
from layerscope.sources.cache import named_cache, weights_folder
from layerscope.study.file import read_study

MIRROR = "LAYERSCOPE_MIRROR"


@dataclass(frozen=True, kw_only=True)
class ChosenModel:
    """A model as a call runs it."""

    name: str
    family: str  # architecture, or that of the baseline
    weights: Path | None = None  # release folder; None for a baseline
    layers: int = 0  # blocks that the checkpoint must have; 0 takes what it has
    pooling: str = ""  # at the numbered layers; empty for the family's own
    settings: Mapping[str, Any] = field(default_factory=dict)
    control: str = ""  # what is taken away
    control_seed: int = 0
    of: str = ""  # the model from which it is


@cache
def entries() -> Mapping[str, FoundationModel | Control | Baseline]:
    """All models of ``config/models.yaml``, by name, but those that need the truth of simulated cells."""
    kind: TypeAdapter[Any] = TypeAdapter(dict[str, ModelEntry])
    given = read_study(repository() / "config" / "models.yaml")["models"]
    models: dict[str, Any] = kind.validate_python(given)
    return {name: entry for name, entry in models.items() if not isinstance(entry, PlantedModel)}


def trained(name: str) -> tuple[str, FoundationModel | Baseline]:
    """The model whose weights a model uses (itself, but for a control), and its entry."""
    entry = entries()[name]
    name = entry.of if isinstance(entry, Control) else name
    model = entries()[name]
    assert not isinstance(model, Control)
    return name, model


def chosen_model(name: str, weights: str | Path | None, *, accept_licence: bool) -> ChosenModel:
    """Look a model up, and fetch its weights if there is a place to fetch them from and they are not here.

    With ``weights``, a release folder in place of the cache, ``name`` may also be a family.
    """
    folder = Path(weights) if weights is not None else None
    is_family = folder is not None and name in FAMILIES and FAMILIES[name].foundation
    if is_family and name not in entries():
        return ChosenModel(name=name, family=name, weights=folder)
    demand_known(name, entries(), "embed", "model")
    of, model = trained(name)
    if isinstance(model, Baseline):
        return ChosenModel(name=name, family=model.family, settings=model.settings)
    entry = entries()[name]
    control = entry if isinstance(entry, Control) else None
    return ChosenModel(
        name=name,
        family=model.family,
        weights=folder or cached_weights(of, model, accept_licence),
        layers=0 if is_family else model.layers,  # of a family's checkpoint, whatever it has
        pooling=model.pooling or "",
        settings=model.set,
        control=control.control if control else "",
        control_seed=control.seed if control else 0,
        of=of if control else "",
    )


def cache_folder() -> Path:
    """Folder that studies and calls share: ``$LAYERSCOPE_CACHE``, or the platform's for caches."""
    from platformdirs import user_cache_path

    return named_cache() or user_cache_path("layerscope")


def cached_weights(name: str, model: FoundationModel, accept_licence: bool) -> Path:
    """Folder with the weights of a model, fetched if they are not there; checked by size and checksum."""
    from layerscope.sources.fetch import fetch

    if model.weights.fetch is None:
        raise ConfigError(
            f"{name}: its weights are made by a study; name their folder, "
            f"weights='resources/weights/{name}', after the study has run"
        )
    folder = cache_folder() / "weights" / name
    missing = [file for file in model.weights.fetch if not (folder / file).is_file()]
    if missing and not accept_licence:
        raise ConfigError(
            f"{name}: its weights come under this licence: {model.licence or 'not stated'}. "
            "If you accept it, call with accept_licence=True (--accept-licence); nothing was fetched"
        )
    with weights_folder(cache_folder(), name) as folder:
        for file in model.weights.fetch:
            fetch(model.weights.source_of(file), folder / file, mirror=os.environ.get(MIRROR))
    return folder
