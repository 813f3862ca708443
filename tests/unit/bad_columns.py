"""Files of cells whose columns or genes are not what a step needs."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
from bad_cells import COUNTS, TARGETS, TRAJECTORY, holds, made
from bad_ground import GOLDEN, Options, bad

from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import read_table

# --- columns ------------------------------------------------------------------------------------------------


@bad
def control_missing(at: Path) -> Options:
    made(at)
    return {"settings": {"task": "perturbation", "columns": {"perturbation": "target"}}}


@bad
def control_misspelt(at: Path) -> Options:
    made(at)
    settings = {"task": "perturbation", "columns": {"perturbation": "target"}, "control": "non-targeting"}
    return {"settings": settings}


@bad
def control_unused_category(at: Path) -> None:
    kinds = pd.Categorical(np.where(TARGETS == "NT", "A", TARGETS), categories=["A", "B", "C", "D", "NT"])
    path = made(at)
    cells = anndata.read_h5ad(path)
    cells.obs["target"] = kinds
    cells.write_h5ad(path)


@bad
def control_alone(at: Path) -> None:
    made(at, target=np.full(60, "NT"))


@bad
def one_perturbation(at: Path) -> Options:
    made(at, target=np.where(TARGETS == "NT", "NT", "A"))
    return {"check": holds(60, 40, NT=12, A=48)}


@bad
def perturbation_of_one_cell(at: Path) -> Options:
    target = TARGETS.astype(object)
    target[13:24] = "B"
    made(at, target=target)
    return {"check": holds(60, 40, A=1, B=23)}


@bad
def perturbations_missing(at: Path) -> None:
    made(at, target=np.array(["NT"] * 12 + [None] * 48, dtype=object))


@bad
def labels_all_nan(at: Path) -> None:
    made(at, target=np.full(60, np.nan))


@bad
def column_missing(at: Path) -> None:
    made(at, target=None)


@bad
def guide_missing(at: Path) -> None:
    made(at, guide=None)


@bad
def column_is_a_group(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs/target"]
        stored.create_group("obs/target")["values"] = np.arange(60)


@bad
def column_too_short(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs/guide"]
        stored["obs/guide"] = np.arange(10)


@bad
def root_missing(at: Path) -> Options:
    made(at, day=np.repeat([3, 10, 17], 20))
    return TRAJECTORY


@bad
def root_of_unknown_column(at: Path) -> Options:
    made(at, day=np.repeat([0, 10, 17], 20))
    return {"settings": {"task": "trajectory", "root": {"stage": "0"}}}


@bad
def root_out_of_range(at: Path) -> Options:
    path = made(at, day=np.repeat([0, 10, 17], 20))
    with h5py.File(path, "r+") as stored:
        stored["uns/iroot"] = 99
    return TRAJECTORY


@bad
def root_is_words(at: Path) -> Options:
    path = made(at, day=np.repeat([0, 10, 17], 20))
    with h5py.File(path, "r+") as stored:
        stored["uns/iroot"] = "the first"
    return TRAJECTORY


@bad
def root_filtered_out(at: Path) -> Options:
    counts = COUNTS.copy()
    counts[:20, 1:] = 0
    counts[:20, 0] = 1
    made(at, counts, day=np.repeat([0, 10, 17], 20))
    return {"settings": TRAJECTORY["settings"] | {"quality": {"min_genes_per_cell": 5}}}


@bad
def subset_of_nothing(at: Path) -> Options:
    made(at)
    return {"settings": {"subset": {"target": "E"}}}


@bad
def quality_leaves_nothing(at: Path) -> Options:
    made(at)
    return {"settings": {"quality": {"min_genes_per_cell": 500}}}


# --- cells for a model --------------------------------------------------------------------------------------


def known_genes(n_genes: int) -> list[str]:
    """Names that the golden checkpoint knows."""
    return read_table(GOLDEN / "gene_index.tsv").iloc[:n_genes, 0].astype(str).tolist()


@bad
def genes_of_a_mouse(at: Path) -> None:
    mouse = ["Actb", "Gapdh", "Cd4", "Foxp3", "Il2ra", "Ptprc", "Mki67", "Sox2"]
    made(at, COUNTS[:, :8], names=mouse)


@bad
def genes_unknown(at: Path) -> None:
    made(at)


@bad
def genes_unknown_scores_nothing(at: Path) -> Options:
    made(at, COUNTS + 0.25)
    return {"cells": at / "mine.h5ad"}


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
    import shutil

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
def baseline_of_raw_file(at: Path) -> None:
    made(at)


# --- files that are only described --------------------------------------------------------------------------


def says(*words: str) -> Options:
    """What is said holds these words, and can be read on a screen."""

    def check(out: Path) -> None:
        said = (out / "said.txt").read_text(encoding="utf-8")
        assert [word for word in words if word not in said] == []
        assert max(map(len, said.splitlines())) < 1000

    return {"check": check}


@bad
def described_text(at: Path) -> None:
    (at / "mine.h5ad").write_text("gene\tcell1\n", encoding="utf-8")


@bad
def described_without_obs(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs"]


@bad
def described_obs_is_a_matrix(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs"]
        stored["obs"] = np.zeros((60, 2))


@bad
def described_column_is_a_group(at: Path) -> None:
    with h5py.File(made(at), "r+") as stored:
        del stored["obs/guide"]
        stored.create_group("obs/guide")["values"] = np.arange(60)


@bad
def described_cut_matrix(at: Path) -> None:
    from scipy import sparse

    with h5py.File(made(at, sparse.csr_matrix(COUNTS)), "r+") as stored:
        kept = stored["X/data"][:50]
        del stored["X/data"]
        stored["X/data"] = kept


@bad
def described_gigantic_labels(at: Path) -> Options:
    made(at, target=np.where(TARGETS == "A", "x" * 1_000_000, TARGETS))
    return says("60 cells x 40 genes", "(1,000,000 letters)", "X: raw counts")


@bad
def described_without_matrix(at: Path) -> Options:
    with h5py.File(made(at), "r+") as stored:
        del stored["X"]
    return says("there is no matrix", "none: no matrix holds counts")


@bad
def described_of_nan(at: Path) -> Options:
    made(at, np.full((60, 40), np.nan, dtype=np.float32))
    return says("not finite", "none: no matrix holds counts")
