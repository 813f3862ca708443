"""What figures, tables of answers and the report say of a study beside its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import layerscope
from layerscope import study

MODEL_SETTINGS = ("family", "layers", "control", "of", "seed", "pooling", "set", "settings")
"""Keys of a model's entry that say how it is run."""
PACKAGES = ("snakemake", "torch", "scanpy", "anndata", "pydeseq2", "numpy", "scipy", "pandas")
"""Packages that the numbers depend on."""


def study_description(config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a study, from its completed configuration.

    Returns
    -------
    ``title``; ``order`` of the conditions; what is said of each of the ``conditions`` and ``models``; the
    ``config`` that the report prints; ``seeds``; ``versions`` of packages that are installed here.
    """
    return {
        "title": config["study"]["title"],
        "order": config["study"]["conditions"],
        "conditions": {name: _condition(config, name) for name in config["study"]["conditions"]},
        "models": {name: _model(config, name) for name in config["study"]["models"]},
        "config": _printed(config),
        "seeds": config["seeds"],
        "versions": _versions(),
    }


def _condition(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    entry, dataset = config["conditions"][name], study.dataset(config, name)
    return {
        "title": entry.get("title", name),
        "task": study.task(config, name),
        "dataset": entry["dataset"],
        "dataset_title": dataset.get("title", ""),
        "citation": dataset.get("citation", ""),
        "licence": dataset.get("licence", ""),
        "simulated": study.is_simulated(config, name),
    }


def _model(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A model; a control has the layers, the licence and the citation of the model that it controls for."""
    entry, trained = config["models"][name], config["models"][study.trained_model(config, name)]
    kind = "control" if "control" in entry else "foundation"
    cells = trained.get("weights", {}).get("pretrain", {}).get("cells")
    return {
        "kind": "baseline" if study.is_baseline(config, name) else kind,
        "family": study.family(config, name),
        "control": entry.get("control"),
        "of": entry.get("of"),
        "layers": trained.get("layers", 0),
        "title": entry.get("title", name),
        "licence": trained.get("licence", ""),
        "citation": trained.get("citation", ""),
        "trained_on": f"pretrained here on {cells}" if cells else trained.get("trained_on", ""),
    }


def _printed(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was studied and how, defaults of all keys included; the title heads the page and is no setting."""
    tasks = sorted({study.task(config, name) for name in config["study"]["conditions"]})
    models = {name: config["models"][name] for name in config["study"]["models"]}
    return {
        "study": {key: value for key, value in config["study"].items() if key != "title"},
        "conditions": {name: config["conditions"][name] for name in config["study"]["conditions"]},
        "models": {
            name: {key: entry[key] for key in entry if key in MODEL_SETTINGS}
            for name, entry in models.items()
        },
        **{
            key: config[key]
            for key in ("quality", "extraction", "pretraining", "resampling", "geometry", *tasks)
        },
    }


def _versions() -> dict[str, str]:
    installed = {
        distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()
    }
    return {"layerscope": layerscope.__version__} | {
        name: installed[name] for name in PACKAGES if name in installed
    }
