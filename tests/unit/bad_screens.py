"""What is made of a screen, with one thing wrong."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
from bad_embeddings import cut
from bad_ground import Options, bad, write_profiles
from perturbation_cells import experiment, write

from layerscope.tables import read_scores
from layerscope.tasks.perturbation.similarity import write_similarity

# --- the cells of a screen ----------------------------------------------------------------------------------


@bad
def screen_without_control(at: Path) -> None:
    cells = experiment(n_genes=60, cells_per_guide=12)
    write(at / "screen.h5ad", cells[~cells.obs["is_control"]].copy())


@bad
def screen_without_samples(at: Path) -> None:
    cells = experiment(n_genes=60, cells_per_guide=12)
    cells.obs = cells.obs.drop(columns=["guide", "replicate"])
    write(at / "screen.h5ad", cells)


@bad
def screen_of_small_perturbations(at: Path) -> None:
    write(at / "screen.h5ad", experiment(n_genes=60, cells_per_guide=3))


@bad
def screen_of_a_trajectory(at: Path) -> Options:
    return {"cells": at / "line.h5ad"}


@bad
def screen_of_logarithms(at: Path) -> None:
    cells = experiment(n_genes=60, cells_per_guide=12)
    cells.X = cells.X.log1p()
    write(at / "screen.h5ad", cells, "log_normalised")


@bad
def screen_of_odd_names(at: Path) -> Options:
    cells = experiment(n_genes=60, cells_per_guide=12)
    odd = {"P00": "../../x", "P01": "$(touch x)", "P02": "a/b c;d", "P03": "ген", "P04": "x" * 5000}
    cells.obs["perturbation"] = cells.obs["perturbation"].replace(odd)
    cells.obs["guide"] = cells.obs["guide"].str.replace("P00", "../../x", regex=False)
    write(at / "screen.h5ad", cells)

    def check(out: Path) -> None:
        found = anndata.read_h5ad(out / "pseudobulk.h5ad").obs
        sums = found.groupby("perturbation", observed=True)["n_cells"].sum()
        assert {name: sums[name] for name in odd.values()} == dict.fromkeys(odd.values(), 24)
        assert not list(out.parent.rglob("x"))

    return {"check": check}


@bad
def odd_names_scored(at: Path) -> Options:
    cells = experiment(n_genes=60, cells_per_guide=12)
    odd = {"P00": "../../x", "P01": "$(touch x)", "P02": "a/b c;d", "P03": "ген"}
    cells.obs["perturbation"] = cells.obs["perturbation"].replace(odd)
    write(at / "screen.h5ad", cells)
    with np.load(at / "similarity.npz") as stored:
        names, values = stored["names"].tolist(), stored["values"]
    write_similarity(at / "similarity.npz", [odd.get(name, name) for name in names], values)

    def check(out: Path) -> None:
        row = read_scores(out / "scores.tsv").set_index("metric").loc["spearman"]
        assert (row["status"], row["n_items"]) == ("ok", 9)

    return {"check": check}


@bad
def pseudobulk_of_no_counts(at: Path) -> Options:
    return {"settings": '{"min_counts_per_gene": 100000000}'}


@bad
def pseudobulk_of_one_sample_each(at: Path) -> None:
    samples = anndata.read_h5ad(at / "pseudobulk.h5ad")
    samples[~samples.obs.duplicated("perturbation").to_numpy()].copy().write_h5ad(at / "pseudobulk.h5ad")


@bad
def pseudobulk_are_cells(at: Path) -> Options:
    return {"pseudobulk": at / "line.h5ad"}


@bad
def pseudobulk_truncated(at: Path) -> None:
    cut(at / "pseudobulk.h5ad")


@bad
def profiles_flat(at: Path) -> None:
    def flatten(values: np.ndarray) -> None:
        values[2] = 0.0

    write_profiles(at / "profiles.h5ad", ["A", "B", "C", "D"], flatten)


@bad
def profiles_without_numbers(at: Path) -> None:
    def empty(values: np.ndarray) -> None:
        values[1] = np.nan

    write_profiles(at / "profiles.h5ad", ["A", "B", "C", "D"], empty)


@bad
def similarity_of_others(at: Path) -> None:
    with np.load(at / "similarity.npz") as stored:
        values = stored["values"]
    write_similarity(at / "similarity.npz", [f"Q{index}" for index in range(9)], values)


@bad
def similarity_of_three(at: Path) -> None:
    with np.load(at / "similarity.npz") as stored:
        write_similarity(at / "similarity.npz", ["P00", "P01", "P02"], stored["values"][:3, :3])


@bad
def similarity_constant(at: Path) -> None:
    write_similarity(at / "similarity.npz", [f"P{index:02d}" for index in range(9)], np.ones((9, 9)))


@bad
def similarity_without_numbers(at: Path) -> None:
    values = np.eye(9)
    values[2, 3] = values[3, 2] = np.nan
    write_similarity(at / "similarity.npz", [f"P{index:02d}" for index in range(9)], values)


@bad
def similarity_truncated(at: Path) -> None:
    cut(at / "similarity.npz")


@bad
def similarity_pickled(at: Path) -> None:
    with (at / "similarity.npz").open("wb") as stream:
        np.savez(stream, names=np.array([print], dtype=object), values=np.ones((1, 1)))


@bad
def similarity_of_another_shape(at: Path) -> None:
    write_similarity(at / "similarity.npz", ["P00", "P01"], np.ones((9, 9)))
