"""Synthetic files in the exact layouts of real deposits, small: what the tests read instead of those."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

TIMES = ("Day3", "Day10", "Day17")
SHARED_ROWS = 2000
CELL_TYPES = ("HSC", "DC precursor ", "Mast cell", "Monocyte")


def symbols(n_genes: int, n_mitochondrial: int = 5) -> list[str]:
    """Human-looking gene symbols, some of them mitochondrial."""
    return [f"MT-ND{i}" if i < n_mitochondrial else f"GENE{i}" for i in range(n_genes)]


def ensembl_ids(n_genes: int) -> list[str]:
    """Human Ensembl gene ids."""
    return [f"ENSG{i:011d}" for i in range(1, n_genes + 1)]


def differentiation_counts(
    rng: np.random.Generator, n_cells: int, n_genes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of cells along a branching path; also each cell's pseudotime and branch."""
    pseudotime = np.sort(rng.uniform(0, 1, n_cells))
    branch = rng.integers(1, len(CELL_TYPES), n_cells)
    base = rng.normal(0, 1, n_genes)
    slope = rng.normal(0, 1.5, (len(CELL_TYPES), n_genes))
    rates = np.exp(
        base + pseudotime[:, None] * slope[0] + np.maximum(pseudotime - 0.3, 0)[:, None] * slope[branch]
    )
    depth = rng.lognormal(np.log(3.0 * n_genes), 0.4, n_cells)
    counts = rng.poisson(rates / rates.sum(axis=1, keepdims=True) * depth[:, None])
    return counts.astype(np.float64), pseudotime, branch


def write_gse276896(
    path: str | Path,
    n_cells: int = 120,
    genes: Sequence[str] | None = None,
    seed: int = 0,
    per: float = 1e4,
    clones: int = 15,
) -> np.ndarray:
    """Write a file in the layout of ``GSE276896_adata_meta.h5ad``; returns the counts that it was made from.

    ``X`` is scaled (highly variable genes), ``raw`` is natural log1p of counts per 10,000, in single
    precision; the owners' columns, pseudotime and root are there, and a trailing space in one label.
    """
    rng = np.random.default_rng([seed, 1])
    names = list(genes) if genes is not None else symbols(150)
    counts, pseudotime, branch = differentiation_counts(rng, n_cells, len(names))
    total = counts.sum(axis=1)
    logged = np.log1p((counts / total[:, None] * per).astype(np.float32)).astype(np.float32)
    variable = np.argsort(-logged.var(axis=0))[: max(len(names) // 4, 2)]
    variable.sort()
    scaled = (logged - logged.mean(axis=0)) / np.maximum(logged.std(axis=0), 1e-6)
    day = np.clip((pseudotime * 3 + rng.normal(0, 0.3, n_cells)).astype(int), 0, 2)
    label = np.where(pseudotime < 0.3, 0, branch)
    clone = np.where(rng.random(n_cells) < 0.45, rng.integers(0, clones, n_cells).astype(float), -1.0)
    mitochondrial = np.array([name.startswith("MT-") for name in names])
    obs = pd.DataFrame(
        {
            "Timepoint": pd.Categorical(np.array(TIMES)[day]),
            "GFP": rng.random(n_cells),
            "gfp_late": rng.random(n_cells),
            "Tissue": pd.Categorical(["CB"] * n_cells),
            "Batch": pd.Categorical(rng.choice(["1", "2"], n_cells)),
            "n_genes_by_counts": (counts > 0).sum(axis=1).astype(np.int32),
            "total_counts": total.astype(np.float32),
            "total_counts_mt": counts[:, mitochondrial].sum(axis=1).astype(np.float32),
            "pct_counts_mt": (100 * counts[:, mitochondrial].sum(axis=1) / total).astype(np.float32),
            "S_score": rng.normal(0, 0.2, n_cells),
            "G2M_score": rng.normal(0, 0.2, n_cells),
            "phase": pd.Categorical(rng.choice(["G1", "S", "G2M"], n_cells)),
            "label_full": pd.Categorical(np.array(CELL_TYPES)[label]),
            "label_red": pd.Categorical(np.array(CELL_TYPES)[label]),
            "clones": clone,
            "time_label_full": pd.Categorical([f"{t}_{k}" for t, k in zip(day, label, strict=True)]),
            "time_label_red": pd.Categorical([f"{t}_{k}" for t, k in zip(day, label, strict=True)]),
            "Meta clones": pd.Categorical([str(value) for value in clone]),
            "leiden": pd.Categorical([str(value) for value in label]),
            "transferred_labels": pd.Categorical(np.array(CELL_TYPES)[label]),
            "prediction_score_max": rng.random(n_cells).astype(np.float32),
            "dpt_pseudotime": (pseudotime / pseudotime.max()).astype(np.float32),
            "def_lab": pd.Categorical(np.array(CELL_TYPES)[label]),
        },
        index=[f"{'ACGT'[i % 4]}{'TGCA'[i // 4 % 4]}GATTACA{i:05d}-1" for i in range(n_cells)],
    )
    full = anndata.AnnData(sparse.csr_matrix(logged), obs=obs, var=pd.DataFrame(index=names))
    made = anndata.AnnData(
        np.clip(scaled[:, variable], -10, 10).astype(np.float32),
        obs=obs,
        var=pd.DataFrame(
            {"mean": logged[:, variable].mean(0), "std": logged[:, variable].std(0)},
            index=np.array(names)[variable],
        ),
    )
    made.raw = full
    made.layers["seurat"] = made.X.copy()
    made.obsm["X_diffmap"] = np.column_stack([np.ones(n_cells), pseudotime]).astype(np.float32)
    made.uns["log1p"] = {"base": None}
    made.uns["def_lab_colors"] = np.array(["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"])
    made.uns["diffmap_evals"] = np.array([1.0, 0.99], dtype=np.float32)
    made.uns["iroot"] = int(np.argmin(np.where((day == 0) & (label == 0), pseudotime, np.inf)))
    made.write_h5ad(path)
    return counts


def cd4_obs(
    n_cells: int,
    targets: Sequence[str],
    seed: int,
    lanes: int = 4,
    unassigned: float = 0.26,
    controls: float = 0.08,
    shares: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The owners' table of cells: a quarter without guide, some non-targeting, some with several guides.

    ``shares`` are the targets' parts of the targeting cells, up to a factor.
    """
    rng = np.random.default_rng([seed, 2])
    share = np.arange(1, len(targets) + 1) ** -0.4 if shares is None else np.asarray(shares, dtype=float)
    target = rng.choice(np.array(targets), n_cells, p=share / share.sum()).astype(object)
    guide = np.array(
        [f"{name}-{number}" for name, number in zip(target, rng.integers(1, 3, n_cells), strict=True)]
    )
    guide = guide.astype(object)
    kind = np.full(n_cells, "targeting", dtype=object)
    drawn = rng.random(n_cells)
    control, none = drawn < controls, drawn > 1 - unassigned
    several = (drawn >= controls) & (drawn < controls + 0.04)
    guide[control] = [f"NTC-{number}" for number in rng.integers(1, 6, control.sum())]
    target[control], kind[control] = "NTC", "non-targeting"
    guide[several], target[several] = "multi_sgRNA", np.nan  # the owners call them targeting
    guide[none], target[none], kind[none] = np.nan, np.nan, np.nan
    mitochondrial = rng.gamma(4, 0.6, n_cells).astype(np.float32)
    ids = {name: f"ENSG{number:011d}" for number, name in enumerate(targets, 90_000)} | {"NTC": "NTC"}
    lane = [f"lane_{number}" for number in rng.integers(1, lanes + 1, n_cells)]
    return pd.DataFrame(
        {
            "lane_id": pd.Categorical(lane),
            "n_genes_by_counts": rng.integers(400, 4000, n_cells).astype(np.int32),
            "total_counts": rng.integers(900, 20000, n_cells).astype(np.float32),
            "pct_counts_mt": mitochondrial,
            "top_guide_UMI_counts": rng.integers(1, 60, n_cells).astype(np.float64),
            "guide_id": pd.Categorical(guide),
            "perturbed_gene_name": pd.Categorical(target),
            "perturbed_gene_id": pd.Categorical(pd.Series(target).map(ids).to_numpy()),
            "guide_type": pd.Categorical(kind),
            "PuroR": rng.random(n_cells).astype(np.float32),
            "guide_group": pd.Categorical(["1"] * n_cells),
            "low_quality": mitochondrial > 5,
        },
        index=[f"{'ACGT'[i % 4]}CATTAGG{i:07d}-1_{lane}_CRISPR" for i, lane in enumerate(lane)],
    )


def cd4_var(names: Sequence[str]) -> pd.DataFrame:
    """The owners' table of genes, by Ensembl id."""
    ids = ensembl_ids(len(names))
    return pd.DataFrame(
        {
            "gene_name": list(names),
            "gene_ids": ids,
            "feature_types": pd.Categorical(["Gene Expression"] * len(names)),
            "genome": pd.Categorical(["GRCh38"] * len(names)),
            "mt": [name.startswith("MT-") for name in names],
        },
        index=ids,
    )


def write_cd4_perturbseq(
    path: str | Path,
    n_cells: int = 400,
    genes: Sequence[str] | None = None,
    targets: Sequence[str] = ("CD3E", "LAT", "ZAP70", "CD28", "VAV1", "IL2RA"),
    seed: int = 0,
    strength: float = 1.0,
    detected: float = 0.25,
    spread: float = 0.5,
    storage: dict[str, Any] | None = None,
    drawn: Sequence[str] | None = None,
    appended: int | None = None,
    types: tuple[str, str] = ("float32", "int64"),
    gene_order: Sequence[int] | None = None,
    **cells: Any,
) -> None:
    """Write a file in the layout of ``D1_Rest.assigned_guide.h5ad``, block by block, so that it may be large.

    ``X`` is CSR raw counts, contiguous and uncompressed unless ``storage`` (keywords of h5py's
    ``create_dataset``, such as ``chunks`` and ``compression``) says otherwise; gene names are Ensembl ids.
    Each target shifts the expression of its own set of genes; neighbouring targets share part of theirs.
    ``detected`` is the median gene's count, ``spread`` how much the cells' depths differ (both logarithmic).
    Where ``drawn`` names targets, only their cells and the non-targeting ones have counts of their own; all
    others share the rows of a few cells, which is fast.
    ``appended`` is the number of cells that the owners' program appends at a time, 1,000 in the real files:
    chunks of both arrays then alternate in the file. ``types`` are those of values and of gene numbers,
    ``gene_order`` are the positions of the genes in the
    order of the columns. ``cells`` are keywords of :func:`cd4_obs`.
    """
    rng = np.random.default_rng([seed, 3])
    names = list(genes) if genes is not None else symbols(200)
    obs = cd4_obs(n_cells, targets, seed, **cells)
    base = np.log(detected) + rng.normal(0, 1.2, len(names))
    effects = {name: rng.normal(0, 1, len(names)) * (rng.random(len(names)) < 0.1) for name in targets}
    shifts = {
        name: strength * (effects[name] + 0.7 * effects[targets[i - i % 2]]) for i, name in enumerate(targets)
    }
    called = obs["perturbed_gene_name"].astype(object).to_numpy()
    own = np.ones(n_cells, dtype=bool) if drawn is None else np.isin(called.astype(str), [*drawn, "NTC"])
    blocks = []
    for labels in np.array_split(called[own], range(1000, int(own.sum()), 1000)):
        rates = np.array([base + shifts.get(name, 0.0) for name in labels])
        counts = rng.poisson(np.exp(rates) * rng.lognormal(0, spread, (len(labels), 1)))
        blocks.append(sparse.csr_matrix(counts.astype(np.float32)))
    matrix, row = sparse.vstack(blocks, format="csr"), np.arange(n_cells)
    if not own.all():
        shared = rng.poisson(np.exp(base) * rng.lognormal(0, spread, (SHARED_ROWS, 1)))
        row = rng.integers(matrix.shape[0], matrix.shape[0] + SHARED_ROWS, n_cells)
        row[own] = np.arange(matrix.shape[0])
        matrix = sparse.vstack([matrix, sparse.csr_matrix(shared.astype(np.float32))], format="csr")
    var = cd4_var(names)
    if gene_order is not None:
        matrix, var = matrix[:, gene_order].sorted_indices(), var.iloc[list(gene_order)]
    obs["total_counts"] = np.asarray(matrix.sum(axis=1), dtype=np.float32).ravel()[row]
    obs["n_genes_by_counts"] = np.diff(matrix.indptr).astype(np.int32)[row]
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        x.attrs["shape"] = np.array([n_cells, len(names)], dtype=np.int64)
        _write_rows(x, matrix, row, types, storage or {}, appended)
        write_elem(file, "obs", obs)
        write_elem(file, "var", var)
        for empty in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            write_elem(file, empty, {})


def _write_rows(
    x: h5py.Group,
    matrix: sparse.csr_matrix,
    row: np.ndarray,
    types: tuple[str, str],
    storage: dict[str, Any],
    appended: int | None,
) -> None:
    """Write ``row`` of a matrix, array after array, or a number of rows at a time to both arrays."""
    starts = np.concatenate([[0], np.cumsum(np.diff(matrix.indptr)[row], dtype=np.int64)])
    arrays = dict(zip(("data", "indices"), types, strict=True))
    parts = [
        (first, row[first : first + (appended or 1000)]) for first in range(0, len(row), appended or 1000)
    ]
    if appended is None:
        for name, kind in arrays.items():
            made = x.create_dataset(name, (starts[-1],), kind, **storage)
            for first, rows in parts:
                made[starts[first] : starts[first + len(rows)]] = getattr(matrix[rows], name)
        x.create_dataset("indptr", data=starts)
        return
    for name, kind in arrays.items():
        x.create_dataset(name, (0,), kind, maxshape=(None,), **storage)
    x.create_dataset("indptr", data=starts[: appended + 1], chunks=(appended + 1,), maxshape=(None,))
    for first, rows in parts:
        last, block = first + len(rows), matrix[rows]
        for name in arrays:
            x[name].resize((starts[last],))
            x[name][starts[first] :] = getattr(block, name)
        x["indptr"].resize((last + 1,))
        x["indptr"][first : last + 1] = starts[first : last + 1]
