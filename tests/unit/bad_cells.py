"""Files of cells with one thing wrong, or one thing odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from bad_ground import Options, bad
from scipy import sparse

from layerscope.cells.canonical import read_cells
from layerscope.tables import read_table

RANDOM = np.random.default_rng(5)
COUNTS = RANDOM.poisson(RANDOM.gamma(1.0, 3.0, 40), (60, 40)).astype(np.float32)
NORMALISED = COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4
TARGETS = np.repeat(["NT", "A", "B", "C", "D"], 12)
TRAJECTORY: Options = {"settings": {"task": "trajectory", "columns": {"time": "day"}, "root": {"time": "0"}}}
ODD_NAMES = ["../../x", "$(touch x)", "a; rm -rf .", "ген a/b 'q' \"r\""]


def made(at: Path, counts: Any = COUNTS, names: list[str] | None = None, **obs: object) -> Path:
    """A small screen; a column given as None is left out."""
    n_cells, n_genes = counts.shape
    columns = {"target": TARGETS, "guide": [f"{t}_{i % 2}" for i, t in enumerate(TARGETS)]} | obs
    table = pd.DataFrame(
        {name: np.asarray(column)[:n_cells] for name, column in columns.items() if column is not None},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    genes = names or [f"GENE{i}" for i in range(n_genes)]
    path = at / "mine.h5ad"
    anndata.AnnData(counts, obs=table, var=pd.DataFrame(index=genes)).write_h5ad(path)
    return path


def labelled(at: Path, **groups: str) -> None:
    """The screen with some targets named otherwise."""
    made(at, target=np.array([groups.get(t, t) for t in TARGETS], dtype=object))


def holds(n_cells: int, n_genes: int, **sizes: int) -> Callable[[Path], None]:
    """The prepared cells have this shape, and so many cells of these perturbations."""

    def check(out: Path) -> None:
        cells = read_cells(out / "cells.h5ad")
        assert cells.shape == (n_cells, n_genes)
        found = cells.obs["perturbation"].value_counts() if "perturbation" in cells.obs else {}
        assert {name: found[name] for name in sizes} == sizes
        summary = read_table(out / "summary.tsv")
        assert summary.loc[summary["group"] == "all", "cells_after"].iloc[-1] == n_cells

    return check


# --- what is no h5ad file -----------------------------------------------------------------------------------


@bad
def cells_missing(at: Path) -> None:
    (at / "mine.h5ad").unlink(missing_ok=True)


@bad
def cells_folder(at: Path) -> None:
    (at / "mine.h5ad").mkdir()


@bad
def cells_empty_file(at: Path) -> None:
    (at / "mine.h5ad").write_bytes(b"")


@bad
def cells_text(at: Path) -> None:
    (at / "mine.h5ad").write_text("gene\tcell1\nACTB\t3\n", encoding="utf-8")


@bad
def cells_truncated(at: Path) -> None:
    path = made(at)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@bad
def cells_gzipped(at: Path) -> None:
    import gzip

    path = made(at)
    path.write_bytes(gzip.compress(path.read_bytes()))


@bad
def cells_of_nothing(at: Path) -> None:
    h5py.File(at / "mine.h5ad", "w").close()


@bad
def cells_cut_matrix(at: Path) -> None:
    with h5py.File(made(at, sparse.csr_matrix(COUNTS)), "r+") as stored:
        kept = stored["X/data"][:50]
        del stored["X/data"]
        stored["X/data"] = kept


@bad
def cells_obs_is_a_matrix(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs"]
        stored["obs"] = np.zeros((60, 2))


@bad
def cells_loop(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
        stored["X"] = h5py.SoftLink("/X")


@bad
def cells_link_elsewhere(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
        stored["X"] = h5py.ExternalLink("absent.h5", "/X")


# --- values -------------------------------------------------------------------------------------------------


@bad
def values_csc(at: Path) -> Options:
    made(at, sparse.csc_matrix(COUNTS))
    return {"check": holds(60, 40, A=12)}


@bad
def values_dense(at: Path) -> Options:
    made(at, COUNTS.astype(np.int64))
    return {"check": holds(60, 40, A=12)}


@bad
def values_nan(at: Path) -> None:
    made(at, np.where(np.arange(40) == 3, np.nan, COUNTS).astype(np.float32))


@bad
def values_infinite(at: Path) -> None:
    made(at, np.where(np.arange(40) == 3, np.inf, COUNTS).astype(np.float32))


@bad
def values_one_nan(at: Path) -> None:
    counts = np.tile(COUNTS, (20, 1))
    counts[602, 7] = np.nan
    made(at, counts, target=np.tile(TARGETS, 20), guide=np.tile(TARGETS, 20))


@bad
def values_negative(at: Path) -> None:
    counts = COUNTS.copy()
    counts[30, 5] = -1
    made(at, counts)


@bad
def values_scaled(at: Path) -> None:
    logged = np.log1p(NORMALISED)
    made(at, ((logged - logged.mean(axis=0)) / (logged.std(axis=0) + 1e-9)).astype(np.float32))


@bad
def values_logged(at: Path) -> None:
    made(at, np.log1p(NORMALISED).astype(np.float32))


@bad
def values_logged_twice(at: Path) -> Options:
    made(at, np.log1p(np.log1p(NORMALISED)).astype(np.float32))
    return {
        "settings": {
            "task": "perturbation",
            "values": "log_normalised",
            "columns": {"perturbation": "target"},
            "control": "NT",
        }
    }


@bad
def values_logged_counts(at: Path) -> None:
    made(at, np.log1p(COUNTS))


@bad
def values_normalised(at: Path) -> None:
    made(at, NORMALISED.astype(np.float32))


@bad
def values_text(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
        stored["X"] = COUNTS.astype(int).astype("S3")


@bad
def values_zero(at: Path) -> None:
    made(at, np.zeros_like(COUNTS))


@bad
def values_complex(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
        stored["X"] = COUNTS.astype(np.complex64)


@bad
def values_flat(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
        stored["X"] = COUNTS.ravel()


@bad
def layer_missing(at: Path) -> Options:
    made(at)
    return {"settings": {"matrix": "layers/counts"}}


# --- shapes and names ---------------------------------------------------------------------------------------


@bad
def one_cell(at: Path) -> Options:
    made(at, COUNTS[:1])
    return {"settings": {}, "check": holds(1, 40)}


@bad
def one_gene(at: Path) -> Options:
    made(at, COUNTS[:, 5:6] + 1)
    return {"check": holds(60, 1, A=12)}


@bad
def no_cells(at: Path) -> Options:
    made(at, COUNTS[:0])
    return {"settings": {}}


@bad
def no_genes(at: Path) -> None:
    made(at, COUNTS[:, :0])


@bad
def cell_ids_twice(at: Path) -> None:
    path = made(at)
    cells = anndata.read_h5ad(path)
    cells.obs_names = ["cell0", *cells.obs_names[:-1]]
    cells.write_h5ad(path)


@bad
def genes_twice(at: Path) -> Options:
    made(at, names=["GENE0", "GENE0", *(f"GENE{i}" for i in range(2, 40))])

    def check(out: Path) -> None:
        cells = read_cells(out / "cells.h5ad")
        assert cells.var_names[:2].tolist() == ["GENE0", "GENE0-1"]
        assert cells.var["symbol"].iloc[:2].tolist() == ["GENE0", "GENE0"]
        assert cells.X.sum() == COUNTS.sum()

    return {"check": check}


@bad
def odd_names(at: Path) -> Options:
    labelled(at, **dict(zip("ABCD", ODD_NAMES, strict=True)))
    return {"check": holds(60, 40, **dict.fromkeys(ODD_NAMES, 12))}


@bad
def odd_column_names(at: Path) -> Options:
    made(at, **{"тип / type": TARGETS, "target": None})
    settings = {"task": "perturbation", "columns": {"perturbation": "тип / type"}, "control": "NT"}
    return {"settings": settings, "check": holds(60, 40, A=12)}


@bad
def gigantic_labels(at: Path) -> Options:
    labelled(at, A="x" * 1_000_000)
    return {"check": holds(60, 40, **{"x" * 1_000_000: 12})}


@bad
def gigantic_labels_misspelt(at: Path) -> Options:
    labelled(at, A="x" * 1_000_000, B="y" * 1_000_000)
    columns = {"perturbation": "target"}
    return {"settings": {"task": "perturbation", "columns": columns, "control": "ctrl"}}


@bad
def gigantic_column_of_time(at: Path) -> Options:
    made(at, dpt=np.array(["x" * 1_000_000, *["0.5"] * 59], dtype=object))
    return {"settings": {"columns": {"reference_pseudotime": "dpt"}}}
