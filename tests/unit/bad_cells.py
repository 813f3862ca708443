"""Files of cells with one thing wrong, or one thing odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from bad_ground import BUILDERS, Options, bad

from layerscope.cells.canonical import read_cells

RANDOM = np.random.default_rng(5)
COUNTS = RANDOM.poisson(RANDOM.gamma(1.0, 3.0, 40), (60, 40)).astype(np.float32)
LOGGED = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)
TARGETS = np.repeat(["NT", "A", "B", "C", "D"], 12)
DAYS = np.repeat([0, 10, 17], 20)
TRAJECTORY: Options = {"task": "trajectory", "columns": {"time": "day"}, "root": {"time": "0"}}
SCREEN: Options = {"task": "perturbation", "columns": {"perturbation": "target"}}
ODD_NAMES = ["../../x", "$(touch x)", "a; rm -rf .", "ген a/b 'q' \"r\""]


def made(at: Path, counts: Any = COUNTS, names: list[str] | None = None, **obs: object) -> Path:
    """A small screen."""
    n_cells, n_genes = counts.shape
    columns = {"target": TARGETS, "guide": [f"{t}_{i % 2}" for i, t in enumerate(TARGETS)]} | obs
    table = pd.DataFrame(
        {name: np.asarray(column)[:n_cells] for name, column in columns.items()},
        index=[f"cell{i}" for i in range(n_cells)],
    )
    genes = names or [f"GENE{i}" for i in range(n_genes)]
    path = at / "mine.h5ad"
    anndata.AnnData(counts, obs=table, var=pd.DataFrame(index=genes)).write_h5ad(path)
    return path


def edited(path: Path, name: str, content: Any) -> None:
    """Replace a part of an HDF5 file."""
    with h5py.File(path, "r+") as stored:
        if name in stored:
            del stored[name]
        stored[name] = content


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
    "cells_of_nothing": lambda at: h5py.File(at / "mine.h5ad", "w").close(),
    "cells_obs_is_a_matrix": lambda at: edited(made(at), "obs", np.zeros((60, 2))),
    # values
    "values_logged": lambda at: made(at, LOGGED),
    "values_zero": lambda at: made(at, np.zeros_like(COUNTS)),
    # columns
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
configured("root_missing", TRAJECTORY, day=np.repeat([3, 10, 17], 20))
configured("quality_leaves_nothing", {"quality": {"min_genes_per_cell": 500}})


@bad
def cells_truncated(at: Path) -> None:
    path = made(at)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@bad
def cell_ids_twice(at: Path) -> None:
    path = made(at)
    cells = anndata.read_h5ad(path)
    cells.obs_names = ["cell0", *cells.obs_names[:-1]]
    cells.write_h5ad(path)


@bad
def odd_names(at: Path) -> Options:
    odd = dict(zip("ABCD", ODD_NAMES, strict=True))
    made(at, target=[odd.get(target, target) for target in TARGETS])

    def check(out: Path) -> None:
        sizes = read_cells(out / "cells.h5ad").obs["perturbation"].value_counts()
        assert {name: sizes[name] for name in ODD_NAMES} == dict.fromkeys(ODD_NAMES, 12)

    return {"check": check}


@bad
def gigantic_labels_misspelt(at: Path) -> Options:
    made(at, target=[target * 1_000_000 if target in "AB" else target for target in TARGETS])
    return {"settings": SCREEN | {"control": "ctrl"}}


@bad
def root_out_of_range(at: Path) -> Options:
    edited(made(at, day=DAYS), "uns/iroot", 99)
    return {"settings": TRAJECTORY}


@bad
def described_gigantic_labels(at: Path) -> Options:
    made(at, target=np.where(TARGETS == "A", "x" * 1_000_000, TARGETS))
    return {"check": says("60 cells x 40 genes", "(1,000,000 letters)", "X: raw counts")}


@bad
def described_without_matrix(at: Path) -> Options:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
    return {"check": says("there is no matrix", "none: no matrix holds counts")}
