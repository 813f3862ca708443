"""A study of small real data sets, which are not part of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BASELINES = ["hvg_pca", "rank_normal_pca", "hellinger_svd", "log_all_genes", "qc_only"]


def small_architectures(condition: str) -> dict[str, Any]:
    """Both small architectures, pretrained on the cells of a condition, with an untrained control each."""
    models: dict[str, Any] = {}
    for family, layers in (("scfoundation", 6), ("tahoe_x1", 8)):
        name = f"{family}_on_{condition}"
        models[name] = {
            "title": f"small {family} pretrained on {condition}",
            "family": family,
            "layers": layers,
            "weights": {"pretrain": {"cells": condition}},
        }
        models[f"{name}_untrained"] = {"control": "untrained", "of": name, "seed": 1}
    return models


def study_of_real_cells(data: Path) -> dict[str, dict[str, Any]]:
    """One study per file, since each condition has models pretrained on its own genes."""
    datasets: dict[str, Any] = {
        "papalexi": {
            "title": "THP-1 perturb-seq (Papalexi et al. 2021), 299 genes",
            "kind": "h5ad",
            "source": {"path": str(data / "papalexi_lowmoi_counts.h5ad")},
            "values": "counts",
            "genes": {"symbol": "index"},
            "columns": {"perturbation": "target", "guide": "guide_id", "replicate": "replicate"},
            "control": ["non-targeting"],
        },
        "paul15": {
            "title": "Mouse myeloid differentiation (Paul et al. 2015), 240 genes",
            "kind": "h5ad",
            "source": {"path": str(data / "paul15_counts_240.h5ad")},
            "values": "counts",
            "genes": {"symbol": "index"},
            "columns": {"cell_type": "cell_type"},
            "root": {"cell_type": ["Multipotent progenitors"]},
        },
        "larry_mouse": {
            "title": "Mouse LARRY (Weinreb et al. 2020), 781 cells",
            "kind": "h5ad",
            "source": {"path": str(data / "larry_mouse_781.h5ad")},
            "values": "normalised",
            "genes": {"symbol": "index"},
            "columns": {"time": "time_info", "cell_type": "state_info"},
            "root": {"time": ["2"], "cell_type": ["undiff"]},
        },
    }
    tasks = {"papalexi": "perturbation", "paul15": "trajectory", "larry_mouse": "trajectory"}
    return {
        name: {
            "study": {
                "title": datasets[name]["title"],
                "conditions": [name],
                "models": [*small_architectures(name), *BASELINES],
                "protocols": {"trajectory": ["paper"], "perturbation": ["paper"]},
            },
            "datasets": {name: datasets[name]},
            "conditions": {name: {"title": datasets[name]["title"], "dataset": name, "task": task}},
            "models": small_architectures(name),
            "quality": {"min_genes_per_cell": 20, "min_cells_per_gene": 3},
        }
        for name, task in tasks.items()
    }
