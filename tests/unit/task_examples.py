"""Cells, settings and layers of every task, for the tests of what all tasks do alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import label_cells
import numpy as np
import pandas as pd
import trajectory_cells
from cell_files import write_cells
from perturbation_cells import experiment
from scipy import sparse

import compute_baseline
from layerscope.tasks.catalogue import TASKS

QUICK: dict[str, dict[str, Any]] = {
    "trajectory": {"resamples": 100, "halvings": 6, "splits": 5},
    "perturbation": {"resamples": 100, "splits": 10},
    "label": {"resamples": 100, "splits": 10, "shuffles": 5, "refits": 2},
    "integration": {"resamples": 100, "shuffles": 3, "parts": 5},
    "response": {"resamples": 100, "splits": 10, "shuffles": 2, "cell_splits": 2},
    "time": {"resamples": 100, "splits": 10, "dealings": 50, "shuffles": 3, "refits": 3},
}
STRICT_SCREEN = {"cells_per_perturbation": 40, "buckets": 4, "shuffles": 2, "permutations": 99}
RUNS = [(task, protocol) for task in TASKS for protocol in TASKS[task].protocols]
BASELINES = ("hvg_pca", "log_all_genes")


def settings(task: str, protocol: str) -> dict[str, Any]:
    """Settings with which a score takes little time."""
    return QUICK[task] | (STRICT_SCREEN if (task, protocol) == ("perturbation", "strict") else {})


def cells_of(task: str) -> anndata.AnnData:
    """Cells that a task can score."""
    if task == "perturbation":
        return experiment()
    if task == "response":
        return experiment(n_modules=7, cells_per_guide=20)
    obs = trajectory_cells.cells()[0] if task == "trajectory" else label_cells.cells()
    obs = obs.rename(columns={"donor": "batch"}) if task == "integration" else obs
    if task == "time":
        days = ["day 1", "day 2", "day 3"]
        obs["time"] = pd.Categorical.from_codes(pd.factorize(obs["donor"])[0] % 3, days, ordered=True)
    counts = np.random.default_rng(0).poisson(1.0, (len(obs), 40)).astype(np.float32)
    genes = pd.DataFrame({"symbol": [f"G{k}" for k in range(40)]}, index=[f"G{k}" for k in range(40)])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=genes)


def write_example(folder: Path, task: str, order: np.ndarray | None = None) -> Path:
    """Write a task's cells, in some order, and their baselines' embeddings."""
    cells, path = cells_of(task), folder / f"{task}.h5ad"
    about = {"condition": "blood", "dataset": "d", "task": task, "values": "counts"}
    write_cells(path, cells if order is None else cells[order].copy(), about)
    for baseline in BASELINES:
        words = ["--baseline", baseline, "--cells", str(path), "--settings", "{}", "--seed", "1"]
        compute_baseline.main([*words, "--output", f"{folder}/{task}_{baseline}.h5ad"])
    return path
