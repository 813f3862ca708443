"""Files of cells with one thing wrong, or one thing odd."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from bad_ground import BUILDERS, GOLDEN, Options, bad
from scipy import sparse

from layerscope.cells.canonical import read_cells
from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import read_table

RANDOM = np.random.default_rng(5)
COUNTS = RANDOM.poisson(RANDOM.gamma(1.0, 3.0, 40), (60, 40)).astype(np.float32)
LOGGED = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)
TARGETS = np.repeat(["NT", "A", "B", "C", "D"], 12)
DAYS = np.repeat([0, 10, 17], 20)
TRAJECTORY: Options = {"task": "trajectory", "columns": {"time": "day"}, "root": {"time": "0"}}
SCREEN: Options = {"task": "perturbation", "columns": {"perturbation": "target"}}
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


def edited(path: Path, name: str, content: Any) -> None:
    """Replace a part of an HDF5 file; a mapping becomes a group."""
    with h5py.File(path, "r+") as stored:
        if name in stored:
            del stored[name]
        if isinstance(content, dict):
            for part, values in content.items():
                stored[f"{name}/{part}"] = values
        else:
            stored[name] = content


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


def says(*words: str) -> Callable[[Path], None]:
    """What is said holds these words, and can be read on a screen."""

    def check(out: Path) -> None:
        said = (out / "said.txt").read_text(encoding="utf-8")
        assert [word for word in words if word not in said] == []
        assert max(map(len, said.splitlines())) < 1000

    return check


BUILDERS |= {
    # what is no h5ad file
    "cells_missing": lambda at: None,
    "cells_text": lambda at: (at / "mine.h5ad").write_text("gene\tcell1\nACTB\t3\n", encoding="utf-8"),
    "cells_of_nothing": lambda at: h5py.File(at / "mine.h5ad", "w").close(),
    "cells_cut_matrix": lambda at: edited(made(at, sparse.csr_matrix(COUNTS)), "X/data", COUNTS[0]),
    "cells_obs_is_a_matrix": lambda at: edited(made(at), "obs", np.zeros((60, 2))),
    # values
    "values_scaled": lambda at: made(at, (LOGGED - LOGGED.mean(axis=0)) / (LOGGED.std(axis=0) + 1e-9)),
    "values_logged": lambda at: made(at, LOGGED),
    "values_logged_counts": lambda at: made(at, np.log1p(COUNTS)),
    "values_normalised": lambda at: made(at, np.expm1(LOGGED)),
    "values_text": lambda at: edited(made(at), "X", COUNTS.astype(int).astype("S3")),
    "values_zero": lambda at: made(at, np.zeros_like(COUNTS)),
    "values_flat": lambda at: edited(made(at), "X", COUNTS.ravel()),
    # columns
    "control_alone": lambda at: made(at, target=np.full(60, "NT")),
    "column_missing": lambda at: made(at, target=None),
    "column_is_a_group": lambda at: edited(made(at), "obs/target", {"values": np.arange(60)}),
    "column_too_short": lambda at: edited(made(at), "obs/guide", np.arange(10)),
    # cells for a model
    "genes_of_a_mouse": lambda at: made(at, COUNTS[:, :4], names=["Actb", "Gapdh", "Cd4", "Foxp3"]),
    "baseline_of_raw_file": made,
}


def configured(name: str, settings: Options, **cells: Any) -> None:
    """Register the screen, prepared with these settings."""

    def build(at: Path) -> Options:
        made(at, **cells)
        return {"settings": settings}

    BUILDERS[name] = build


configured("layer_missing", {"matrix": "layers/counts"})
configured("control_missing", SCREEN)
configured("control_misspelt", SCREEN | {"control": "non-targeting"})
configured("root_missing", TRAJECTORY, day=np.repeat([3, 10, 17], 20))
configured("subset_of_nothing", {"subset": {"target": "E"}})
configured("quality_leaves_nothing", {"quality": {"min_genes_per_cell": 500}})


@bad
def cells_truncated(at: Path) -> None:
    path = made(at)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@bad
def cells_gzipped(at: Path) -> None:
    path = made(at)
    path.write_bytes(gzip.compress(path.read_bytes()))


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
def values_csc(at: Path) -> Options:
    made(at, sparse.csc_matrix(COUNTS))
    return {"check": holds(60, 40, A=12)}


@bad
def one_cell(at: Path) -> Options:
    made(at, COUNTS[:1])
    return {"settings": {}, "check": holds(1, 40)}


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
    odd = dict(zip("ABCD", ODD_NAMES, strict=True))
    made(at, target=[odd.get(target, target) for target in TARGETS])
    return {"check": holds(60, 40, **dict.fromkeys(ODD_NAMES, 12))}


@bad
def gigantic_labels_misspelt(at: Path) -> Options:
    made(at, target=[target * 1_000_000 if target in "AB" else target for target in TARGETS])
    return {"settings": SCREEN | {"control": "ctrl"}}


@bad
def root_out_of_range(at: Path) -> Options:
    edited(made(at, day=DAYS), "uns/iroot", 99)
    return {"settings": TRAJECTORY}


def known_genes(n_genes: int) -> list[str]:
    """Names that the golden checkpoint knows."""
    return read_table(GOLDEN / "gene_index.tsv").iloc[:n_genes, 0].astype(str).tolist()


@bad
def model_layers_differ(at: Path) -> Options:
    made(at, names=known_genes(40))
    return {"layers": 99}


@bad
def model_weights_missing(at: Path) -> Options:
    made(at, names=known_genes(40))
    return {"weights": at / "absent"}


@bad
def model_weights_truncated(at: Path) -> Options:
    made(at, names=known_genes(40))
    shutil.copytree(GOLDEN, at / "weights")
    path = at / "weights" / "models.ckpt"
    path.write_bytes(path.read_bytes()[:5000])
    return {"weights": at / "weights"}


@bad
def model_cells_without_known_genes(at: Path) -> Options:
    counts = COUNTS.copy()
    counts[7, :20] = 0
    made(at, counts, names=[*known_genes(20), *(f"GENE{i}" for i in range(20))])

    def check(out: Path) -> None:
        layer = read_layer(out / "layers.h5ad", "01")
        assert [bool(reason) for reason in layer.refused] == [i == 7 for i in range(60)]
        assert np.isnan(layer.matrix[7]).all() and np.isfinite(np.delete(layer.matrix, 7, axis=0)).all()

    return {"check": check}


@bad
def described_gigantic_labels(at: Path) -> Options:
    made(at, target=np.where(TARGETS == "A", "x" * 1_000_000, TARGETS))
    return {"check": says("60 cells x 40 genes", "(1,000,000 letters)", "X: raw counts")}


@bad
def described_without_matrix(at: Path) -> Options:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
    return {"check": says("there is no matrix", "none: no matrix holds counts")}
