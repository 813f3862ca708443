"""Tables of a study that was never run, shaped like real ones: for the tests of figures and report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from layerscope.figures.models import read_models
from layerscope.layout import layer_names
from layerscope.statistics.layer_choice import choose_layers
from layerscope.statistics.published_scores import compare_published
from layerscope.tables import OFFICIAL, Score, depth

BASELINES = {
    "hvg_pca": 0.44,
    "rank_normal_pca": 0.43,
    "hellinger_svd": 0.35,
    "log_all_genes": 0.31,
    "qc_only": 0.04,
}
TASKS = {
    "simulated_differentiation": "trajectory",
    "D1_Rest": "perturbation",
    "D1_Stim8hr": "perturbation",
    "D1_Stim48hr": "perturbation",
}
FOUNDATION = {"scfoundation": 12, "tahoe_x1_1b": 24}
SIMULATED = {
    "dataset": "simulated_cells",
    "dataset_title": "Simulated cells",
    "citation": "",
    "licence": "MIT",
    "simulated": True,
}
SCREEN = {
    "dataset": "cd4_perturbseq",
    "dataset_title": "CD4+ T cells, CRISPRi screen",
    "citation": "Zhu et al. 2025",
    "licence": "as the owners state for the bucket",
}


def settings(foundation: dict[str, int] | None = None, seeds: int = 5) -> dict[str, Any]:
    """Settings as the workflow gives them."""
    foundation = foundation or FOUNDATION
    about = {"trained_on": "about 50 million human cells, by its authors", "licence": "Apache-2.0"}
    models: dict[str, Any] = {
        name: about
        | {"kind": "foundation", "family": name.rsplit("_", 1)[0], "layers": n_layers}
        | {"title": name.replace("_", " ").title()}
        for name, n_layers in foundation.items()
    }
    for name, n_layers in foundation.items():
        control = {"kind": "control", "control": "untrained", "of": name, "layers": n_layers}
        models |= {f"{name}_untrained_{seed}": control for seed in range(1, seeds + 1)}
    models |= {name: {"kind": "baseline", "family": name} for name in BASELINES}
    conditions = {
        name: {"title": name.replace("_", " "), "task": task} | (SIMULATED if "simulated" in name else SCREEN)
        for name, task in TASKS.items()
    }
    return {
        "title": "An example study: a table of numbers that were never measured",
        "models": models,
        "conditions": conditions,
    }


def scores(
    foundation: dict[str, int] | None = None, seeds: int = 5, tasks: dict[str, str] | None = None
) -> list[Score]:
    """Score rows of every model, layer and condition; two layers and one baseline have none."""
    rows: list[Score] = []
    for c, (condition, task) in enumerate((tasks or TASKS).items()):
        of = {"condition": condition, "task": task}
        for m, (model, n_layers) in enumerate((foundation or FOUNDATION).items()):
            peak = (0.65, 0.05, 0.35, 0.95)[c % 4] + 0.03 * m
            top = 0.42 + 0.3 * (c == 0) - 0.015 * m
            rows += _curve(of | {"model": model}, n_layers, (peak, top), c * 100 + m)
            for seed in range(1, seeds + 1):
                control = of | {"model": f"{model}_untrained_{seed}"}
                rows += _curve(control, n_layers, (0.0, 0.16 + 0.03 * m), c * 100 + 10 * m + seed)
        for b, (baseline, top) in enumerate(BASELINES.items()):
            rows += _curve(of | {"model": baseline}, 0, (0.0, top + 0.2 * (c == 0)), c + b)
    return [_without(row) for row in rows]


def _curve(of: dict[str, str], n_layers: int, peak: tuple[float, float], seed: int) -> list[Score]:
    rng = np.random.default_rng([7, seed])
    place, top = peak
    trajectory = of["task"] == "trajectory"
    about: dict[str, Any] = {"protocol": "paper", "metric": "spearman", "seed": 1}
    about |= {"n_cells": 24885 if trajectory else 61234, "n_items": 24885 if trajectory else 100}
    about["reason"] = "reference computed on hvg_pca" if trajectory else ""
    rows = []
    for layer in layer_names(n_layers):
        at = depth(layer, n_layers)
        where = {"00": -0.15, OFFICIAL: 1.0}.get(layer, at)
        estimate = top - 0.25 * (where - place) ** 2 + rng.normal(0, 0.012) if n_layers else top
        half = 0.035 + 0.02 * rng.random()
        interval = {"ci_low": estimate - half, "ci_high": estimate + half}
        rows.append(Score(**of, **about, layer=layer, depth=at, estimate=estimate, **interval))
    return rows


def _without(row: Score) -> Score:
    blank = {name: float("nan") for name in ("estimate", "ci_low", "ci_high")}
    if (row.condition, row.model) == ("D1_Rest", "scfoundation") and row.layer in ("05", "06"):
        return replace(
            row, **blank, status="undefined", reason="the layer is constant: no correlation exists"
        )
    if (row.condition, row.model) == ("D1_Stim8hr", "log_all_genes"):
        return replace(row, **blank, status="not_available", reason="needs raw counts")
    return row


def layers(rows: list[Score] | None = None, foundation: dict[str, int] | None = None) -> pd.DataFrame:
    """The choice of a layer from score rows; those near the highest cannot be told from it."""
    table = pd.DataFrame([vars(row) for row in rows or scores(foundation)])
    chosen = choose_layers(table, [], read_models(settings(foundation)))
    curves = chosen.curves.groupby(["condition", "model"])
    near = chosen.curves[chosen.curves["estimate"] > curves["estimate"].transform("max") - 0.03]
    alike = near.groupby(["condition", "model"])["layer"].agg(",".join).rename("confidence_set")
    return chosen.layers.drop(columns="confidence_set").merge(alike, on=["condition", "model"])


def published(rows: list[Score] | None = None) -> pd.DataFrame:
    """The paper's scores beside those of the example."""
    return compare_published(pd.DataFrame([vars(row) for row in rows or scores()]))


def summary(groups: int = 3) -> pd.DataFrame:
    """Cells before and after each filter, as preparing cells writes it."""
    rows = []
    cells = 26012
    for step, name, threshold, lost in (
        ("quality", "min_genes_per_cell", 200, 611),
        ("quality", "max_mitochondrial_percent", 20, 402),
        ("selection", "cells_per_perturbation", 600, 0),
    ):
        for group in ["all", *(f"batch={k}" for k in range(1, groups + 1))]:
            share = 1 if group == "all" else groups
            row = {"step": step, "filter": name, "threshold": threshold, "group": group}
            row |= {"cells_before": cells // share, "cells_after": (cells - lost) // share}
            rows.append(row | {"genes_before": 18129, "genes_after": 18129, "remark": ""})
        cells -= lost
    return pd.DataFrame(rows)
