"""Configurations of studies, for tests to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
OF_PBMC = ["embedded_pbmc", "embedded_pbmc_untrained_1", "hvg_pca"]


def read(*names: str) -> dict[str, Any]:
    """Files of the folder config, one over the other."""
    config: dict[str, Any] = {}
    for name in names:
        config |= yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return config


def default_config() -> dict[str, Any]:
    """The default study without what only makes it short."""
    study = read("models.yaml", "datasets.yaml", "config.yaml")
    del study["geometry"], study["perturbation"], study["label"]
    for name in ("simulated_Rest", "simulated_Stim8hr"):
        del study["study"]["models_of"][name]
    return study


def two_lists() -> dict[str, Any]:
    """One condition with the models of the study, one with its own."""
    config = default_config()
    conditions, models = ["simulated_Rest", "pbmc68k"], ["embedded_tahoe_x1", "hvg_pca", "qc_only"]
    own = {"pbmc68k": OF_PBMC, "simulated_disease": ["scgpt"]}  # of what is not studied, nothing is run
    config["study"] |= {"conditions": conditions, "models": models, "models_of": own}
    return config
