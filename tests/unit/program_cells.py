"""Files of cells as users have them, for the tests of the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from cell_files import adata_of

N_CELLS, N_GENES = 240, 60
HUMAN = ["CD3E", "CD4", "MS4A1", "LYZ", "NKG7", "MT-ND1", *(f"ZNF{i}" for i in range(N_GENES - 6))]
ENSEMBL = [f"ENSG{i:011d}" for i in range(N_GENES)]


def write(
    path: Path, obs: dict[str, Any], genes: list[str] = HUMAN, obsm: dict[str, Any] | None = None
) -> Path:
    """Write counts of 240 cells with these columns."""
    counts = np.random.default_rng(0).poisson(1.5, (N_CELLS, N_GENES)).astype(np.float32)
    cells = adata_of(counts, genes, obs=obs)
    cells.obsm.update(obsm or {})
    cells.write_h5ad(path)
    return path


def patients(path: Path, genes: list[str] = HUMAN) -> Path:
    """Blood of 12 patients, with two embeddings, a picture and three layers of a model."""
    draw = np.random.default_rng(1).normal(size=(N_CELLS, 12)).astype(np.float32)
    layers = {f"mine_layer_{i}": draw[:, i : i + 8] for i in range(3)}
    number = np.arange(N_CELLS) % 12
    obs = {
        "annotation": [f"type {i % 5}" for i in range(N_CELLS)],
        "patient": [f"P{i}" for i in number],
        "disease": np.where(number < 6, "sick", "healthy"),
    }
    return write(path, obs, genes, {"X_scVI": draw, "X_pca": draw, "X_umap": draw[:, :2], **layers})


def screen(path: Path, guides: bool = True, control: str = "non-targeting") -> Path:
    """A screen of five perturbations."""
    target = np.repeat([control, "A", "B", "C", "D", "E"], N_CELLS // 6)
    obs: dict[str, Any] = {"target": target}
    if guides:
        obs["sgRNA"] = [f"{name}_{i % 2}" for i, name in enumerate(target)]
    return write(path, obs)


def development(path: Path) -> Path:
    """Cells of three days."""
    return write(path, {"day": np.repeat(["d0", "d4", "d10"], N_CELLS // 3)})
