"""Running the workflow in a copy of the repository: shared by the tests of the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import yaml
from scipy import sparse

ROOT = Path(__file__).parents[2]

# the embedded study at its own size, on two of its conditions and without some of its models
STUDY: dict[str, Any] = {
    "study": {
        "title": "Two conditions of the embedded study",
        "conditions": ["simulated_differentiation", "simulated_Stim48hr"],
        "models": [
            "embedded_scfoundation",
            "embedded_tahoe_x1",
            "embedded_scfoundation_untrained_1",
            "embedded_tahoe_x1_untrained_1",
            "planted",
            "planted_alike",
            "hvg_pca",
            "qc_only",
        ],
        "protocols": {"trajectory": ["paper"], "perturbation": ["paper"]},
    },
    "quality": {"min_genes_per_cell": 50, "max_mitochondrial_percent": 20, "min_cells_per_gene": 3},
}

# what follows whenever any score changes
FINAL = {
    "gather_scores": 1,
    "choose_layers": 1,
    "compare_label_free": 1,
    "compare_published": 1,
    "answer_referee": 1,
    "gather_warnings": 1,
    "plot_scores": 2,
    "plot_layer_choice": 1,
    "plot_layer_maps": 1,
    "plot_geometry": 2,
    "write_report": 1,
}


@dataclass(frozen=True)
class Checkout:
    """A working copy in which Snakemake can be run."""

    folder: Path

    def write_config(self, name: str, config: object) -> str:
        (self.folder / name).write_text(yaml.safe_dump(config), encoding="utf-8")
        return name

    def snakemake(self, *arguments: str, cores: int = 2, path: str = "") -> subprocess.CompletedProcess[str]:
        """Run Snakemake; standard error follows standard output in ``stdout``."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": path, "COLUMNS": "500"},
        )

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Number of jobs per rule that a dry run lists."""
        run = self.snakemake("--quiet", "host", "--dry-run", *arguments)
        assert run.returncode == 0, run.stdout
        if "Job stats" not in run.stdout:
            return {}
        lines = run.stdout.split("Job stats:\n", 1)[1].splitlines()[2:]
        counts = {}
        for line in lines:
            if not line.strip():
                break
            rule, count = line.split()
            counts[rule] = int(count)
        counts.pop("total", None)
        counts.pop("all", None)
        return counts


def tracked_files() -> list[str]:
    """What a fresh clone would hold: tracked files, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def copy_repository(folder: Path) -> Checkout:
    """Copy the files that the workflow runs with into an empty folder."""
    for name in tracked_files():
        if not name.startswith(("tests/", "docs/", "benchmarks/")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return Checkout(folder)


def blood(path: Path | None = None) -> anndata.AnnData:
    """Blood of 12 patients, with two embeddings."""
    rng = np.random.default_rng(0)
    types = rng.integers(3, size=360)
    obs = {"annotation": [f"type {i}" for i in types], "patient": [f"P{i % 12}" for i in range(360)]}
    cells = anndata.AnnData(
        sparse.csr_matrix(rng.poisson(0.8, (360, 20)).astype(np.float32)),
        obs=pd.DataFrame(obs, index=[f"c{i}" for i in range(360)]),
        var=pd.DataFrame(index=["CD3E", "CD4", *(f"ZNF{i}" for i in range(18))]),
        obsm={"X_scVI": np.eye(3)[types] + rng.normal(size=(360, 3)), "X_pca": rng.normal(size=(360, 3))},
    )
    if path:
        cells.write_h5ad(path)
    return cells
