"""A mistake ends in one clear message: in the plan, or in the job that finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from workflow_study import Checkout

STUDY: dict[str, Any] = {
    "study": {"title": "Mine", "conditions": ["mine"], "models": ["hvg_pca", "hellinger_svd"]},
    "datasets": {
        "mine": {
            "kind": "h5ad",
            "source": {"path": "mine.h5ad"},
            "values": "counts",
            "columns": {"perturbation": "target", "guide": "guide"},
            "control": ["non-targeting"],
        }
    },
    "conditions": {"mine": {"dataset": "mine", "task": "perturbation"}},
}


def write_logged_cells(path: Path) -> None:
    """A small screen whose values are no counts."""
    counts = np.random.default_rng(0).poisson(2.0, size=(120, 80)).astype(np.float32)
    target = np.repeat(["non-targeting", "A", "B", "C", "D", "E"], 20)
    obs = pd.DataFrame({"target": target, "guide": [f"{t}_{i % 2}" for i, t in enumerate(target)]})
    obs.index = pd.Index([f"cell{i}" for i in range(len(obs))])
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(counts.shape[1])])
    logged = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    anndata.AnnData(logged, obs=obs, var=var).write_h5ad(path)


def outcome(checkout: Checkout, config: dict[str, Any]) -> str:
    name = checkout.write_config("mine.yaml", config)
    run = checkout.snakemake("--configfile", name, "--show-failed-logs", "results/cells/mine/cells.h5ad")
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    assert not (checkout.folder / "results/cells/mine/cells.h5ad").exists()
    return run.stdout


def test_an_unknown_model_is_refused_before_anything_runs(checkout: Checkout) -> None:
    write_logged_cells(checkout.folder / "mine.h5ad")
    message = outcome(checkout, STUDY | {"study": STUDY["study"] | {"models": ["hvg_pka"]}})
    assert "unknown model 'hvg_pka' (did you mean 'hvg_pca'?)" in message


def test_a_matrix_that_is_not_counts_is_refused_by_its_job(checkout: Checkout) -> None:
    write_logged_cells(checkout.folder / "mine.h5ad")
    errors = [line for line in outcome(checkout, STUDY).splitlines() if line.strip().startswith("error: ")]
    assert len(errors) == 1
    assert "log" in errors[0] and "mine.h5ad" in errors[0]
