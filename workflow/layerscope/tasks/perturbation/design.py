"""Which perturbations protocol ``strict`` compares, and which cells stand for each."""

from __future__ import annotations

import pandas as pd

from layerscope.errors import DataError, NotAvailableError
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.screens.design import Design, deal_design
from layerscope.tasks.screens.labels import demand_labels, largest, perturbation_sizes


def make_design(obs: pd.DataFrame, settings: StrictSettings, seed: int, where: str = "cells") -> Design:
    """Select equal numbers of cells and deal them into buckets; see :class:`Design`."""
    return deal_design(
        obs,
        _names(obs, settings, where),
        cells_per_perturbation=settings.cells_per_perturbation,
        n_buckets=settings.buckets,
        n_shuffles=settings.shuffles,
        seed=seed,
    )


def _names(obs: pd.DataFrame, settings: StrictSettings, where: str) -> list[str]:
    """Perturbations with cells enough, by name."""
    demand_labels(obs, where)
    sizes, wanted = perturbation_sizes(obs), settings.cells_per_perturbation
    names = largest(sizes, wanted, settings.max_perturbations)
    if len(names) > settings.MOST_PERTURBATIONS:
        raise DataError(
            f"{where}: {len(names)} perturbations; protocol strict compares {settings.MOST_PERTURBATIONS} "
            "at most: set max_perturbations"
        )
    n_control = int(obs["is_control"].sum())
    if len(names) < settings.MIN_PERTURBATIONS or n_control < wanted:
        raise NotAvailableError(
            f"{where}: {len(names)} of {len(sizes)} perturbations, and {n_control} control cells, for "
            f"cells_per_perturbation = {wanted}; protocol strict needs {settings.MIN_PERTURBATIONS} "
            "perturbations and the control with so many cells each: lower cells_per_perturbation"
        )
    return names
