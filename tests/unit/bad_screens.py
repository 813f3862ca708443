"""What is made of a screen, with one thing wrong."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
from bad_ground import BUILDERS, Options, bad, write_profiles
from perturbation_cells import experiment, write

from layerscope.tasks.perturbation.similarity import write_similarity

NAMES = [f"P{index:02d}" for index in range(9)]
ODD = {"P00": "../../x", "P01": "$(touch x)", "P02": "a/b c;d", "P03": "ген", "P04": "x" * 5000}


def screen(cells_per_guide: int = 12) -> anndata.AnnData:
    return experiment(n_genes=60, cells_per_guide=cells_per_guide)


def flat(values: np.ndarray) -> None:
    values[2] = 0.0


def holed() -> np.ndarray:
    """A matrix of similarities in which one pair has none."""
    values = np.eye(9)
    values[2, 3] = values[3, 2] = np.nan
    return values


BUILDERS |= {
    "screen_of_small_perturbations": lambda at: write(at / "screen.h5ad", screen(3)),
    "screen_of_a_trajectory": lambda at: {"cells": at / "line.h5ad"},
    "profiles_flat": lambda at: write_profiles(at / "profiles.h5ad", ["A", "B", "C", "D"], flat),
    "similarity_of_others": lambda at: write_similarity(at / "similarity.npz", list("abcdefghi"), np.eye(9)),
    "similarity_without_numbers": lambda at: write_similarity(at / "similarity.npz", NAMES, holed()),
    "similarity_of_another_shape": lambda at: write_similarity(at / "similarity.npz", NAMES[:2], np.eye(9)),
}


@bad
def screen_without_control(at: Path) -> None:
    cells = screen()
    write(at / "screen.h5ad", cells[~cells.obs["is_control"]].copy())


@bad
def screen_without_samples(at: Path) -> None:
    cells = screen()
    cells.obs = cells.obs.drop(columns=["guide", "replicate"])
    write(at / "screen.h5ad", cells)


@bad
def screen_of_logarithms(at: Path) -> None:
    cells = screen()
    cells.X = cells.X.log1p()
    write(at / "screen.h5ad", cells, "log_normalised")


@bad
def screen_of_odd_names(at: Path) -> Options:
    cells = screen()
    cells.obs["perturbation"] = cells.obs["perturbation"].replace(ODD)
    cells.obs["guide"] = cells.obs["guide"].str.replace("P00", "../../x", regex=False)
    write(at / "screen.h5ad", cells)

    def check(out: Path) -> None:
        samples = anndata.read_h5ad(out / "pseudobulk.h5ad").obs
        sums = samples.groupby("perturbation", observed=True)["n_cells"].sum()
        assert {name: sums[name] for name in ODD.values()} == dict.fromkeys(ODD.values(), 24)
        assert not list(out.parent.rglob("x"))

    return {"check": check}


@bad
def pseudobulk_of_one_sample_each(at: Path) -> None:
    samples = anndata.read_h5ad(at / "pseudobulk.h5ad")
    samples[~samples.obs.duplicated("perturbation").to_numpy()].copy().write_h5ad(at / "pseudobulk.h5ad")


@bad
def similarity_pickled(at: Path) -> None:
    with (at / "similarity.npz").open("wb") as stream:
        np.savez(stream, names=np.array([print], dtype=object), values=np.ones((1, 1)))
