"""Small perturbation experiments with known effects, for the tests of that task."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from cell_files import write_cells
from scipy import sparse

from layerscope.extraction.embeddings_file import write_official
from layerscope.tables import read_resamples, read_scores
from layerscope.tasks.jobs import score_layer


def experiment(
    seed: int = 0,
    n_modules: int = 3,
    per_module: int = 3,
    n_genes: int = 120,
    cells_per_guide: int = 30,
    effect: float = 0.8,
) -> anndata.AnnData:
    """Cells of perturbations in modules: those of one module change the same genes alike."""
    random = np.random.default_rng(seed)
    base = random.gamma(1.0, 3.0, n_genes)
    names = [f"P{index:02d}" for index in range(n_modules * per_module)]
    module = {name: f"M{index // per_module}" for index, name in enumerate(names)}
    direction = {
        m: random.normal(0, effect, n_genes) * (random.random(n_genes) < 0.4)
        for m in sorted(set(module.values()))
    }
    rows, obs = [], []
    for name in ["non-targeting", *names]:
        own = (
            random.normal(0, 0.2, n_genes) + direction[module[name]] if name in module else np.zeros(n_genes)
        )
        for guide in range(2 if name in module else 4):
            for cell in range(cells_per_guide):
                depth = random.lognormal(0, 0.3)
                rows.append(random.poisson(depth * base * np.exp(own) * random.gamma(5, 0.2, n_genes)))
                obs.append(
                    (name, f"{name}_g{guide}", f"lane_{cell % 2}", name not in module, module.get(name, ""))
                )
    table = pd.DataFrame(obs, columns=["perturbation", "guide", "replicate", "is_control", "true_module"])
    table.index = pd.Index([f"cell_{index}" for index in range(len(table))])
    genes = pd.Index([f"G{index}" for index in range(n_genes)])
    counts = sparse.csr_matrix(np.array(rows, dtype=np.float32))
    return anndata.AnnData(X=counts, obs=table, var=pd.DataFrame({"symbol": genes.to_numpy()}, index=genes))


def write(path: Path, cells: anndata.AnnData, values: str = "counts") -> Path:
    """Write cells as canonical cells."""
    described = {"condition": "test", "dataset": "test", "task": "perturbation", "values": values}
    write_cells(path, cells, described)
    return path


def logged(cells: anndata.AnnData) -> np.ndarray:
    """The cells' log-normalised values: a layer that keeps expression."""
    counts = cells.X.toarray()
    return np.log1p(1e3 * counts / counts.sum(axis=1, keepdims=True))


def score_matrix(
    folder: Path,
    matrix: np.ndarray,
    cells: anndata.AnnData,
    protocol: str,
    settings: dict[str, object],
    reference: list[Path],
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score a layer by its matrix: the rows by metric, and what is resampled."""
    names = cells.obs_names.tolist()
    write_official(folder / "m.h5ad", names, matrix, {"model": "m", "n_layers": 0})
    write(folder / "scored.h5ad", cells)
    score_layer(
        task="perturbation",
        protocol=protocol,
        embeddings=folder / "m.h5ad",
        layer="official",
        cells=folder / "scored.h5ad",
        reference=reference,
        condition="test",
        model="m",
        settings=settings,
        seed=3,
        output=folder / "scores.tsv",
        resamples=folder / "scores.npz",
    )
    rows = read_scores(folder / "scores.tsv").set_index("metric", drop=False)
    return rows, read_resamples(folder / "scores.npz")
