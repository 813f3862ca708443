"""A user's mistakes end in one clear message, before anything is half done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
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


def write_cells(path: Path, change: str = "") -> None:
    """Cells of a small screen, with one thing wrong."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, size=(120, 80)).astype(np.float32)
    if change == "negative":
        counts[3, 5] = -1
    if change == "log":
        counts = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    target = np.repeat(["non-targeting", "A", "B", "C", "D", "E"], 20)
    obs = pd.DataFrame({"target": target, "guide": [f"{t}_{i % 2}" for i, t in enumerate(target)]})
    obs.index = pd.Index([f"cell{i}" for i in range(len(obs))])
    var = pd.DataFrame(index=[f"GENE{i}" for i in range(counts.shape[1])])
    anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=var).write_h5ad(path)


def outcome(checkout: Checkout, config: dict[str, Any]) -> str:
    name = checkout.write_config("mine.yaml", config)
    run = checkout.snakemake("--configfile", name, "--show-failed-logs", "results/cells/mine/cells.h5ad")
    assert run.returncode != 0
    assert "Traceback" not in run.stdout
    assert not (checkout.folder / "results/cells/mine/cells.h5ad").exists()
    return run.stdout


def test_an_unknown_model_is_refused_before_anything_runs(checkout: Checkout) -> None:
    write_cells(checkout.folder / "mine.h5ad")
    message = outcome(checkout, STUDY | {"study": STUDY["study"] | {"models": ["hvg_pka"]}})
    assert "unknown model 'hvg_pka' (did you mean 'hvg_pca'?)" in message


def test_a_missing_file_is_named(checkout: Checkout) -> None:
    assert "datasets: mine: source: path: there is no file 'mine.h5ad'" in outcome(checkout, STUDY)


def test_a_wrong_column_is_named_with_those_that_exist(checkout: Checkout) -> None:
    write_cells(checkout.folder / "mine.h5ad")
    dataset = STUDY["datasets"]["mine"] | {"columns": {"perturbation": "tragets", "guide": "guide"}}
    message = outcome(checkout, STUDY | {"datasets": {"mine": dataset}})
    assert "tragets" in message and "target" in message and "guide" in message


@pytest.mark.parametrize(("change", "words"), [("negative", "negative"), ("log", "log")])
def test_a_matrix_that_is_not_counts_is_refused(checkout: Checkout, change: str, words: str) -> None:
    write_cells(checkout.folder / "mine.h5ad", change)
    errors = [line for line in outcome(checkout, STUDY).splitlines() if line.strip().startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0] and "mine.h5ad" in errors[0]
