"""The reference of task response: effects on genes in every half of the cells.

All that scoring a layer needs of the cells' expression is here, so that no scoring job reads the matrix.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from layerscope.arrays import Bools, Floats
from layerscope.chance import Chance
from layerscope.tables import arrays_of, write_arrays
from layerscope.tasks.response.effects import effects_of, sampling_sd
from layerscope.tasks.response.settings import ResponseSettings
from layerscope.tasks.response.targets import folds_of, targets_of
from layerscope.tasks.screens.design import LANE_COLUMNS, Design, combined_codes, halves, shuffled_within
from layerscope.tasks.screens.labels import group_cells, largest, perturbation_sizes

MIN_TRAINING = 8
CELL_LEVEL_CELLS, CELL_LEVEL_GENES = 2000, 500
"""Cells and genes of the number of single cells, which is no score: enough for it, and cheap."""
SHUFFLE_OF_CELLS = 1_000_003
"""Stream of random numbers apart from those of the design's shuffles."""


@dataclass(frozen=True)
class SingleCells:
    """Some cells' own log expression, and their perturbation with and without shuffle."""

    rows: NDArray[np.int64]  # of the cells' table
    item: NDArray[np.int64]  # 0 the control
    shuffled: NDArray[np.int64]
    expression: NDArray[np.float32]  # minus the mean of control cells, cells x genes


@dataclass(frozen=True)
class Reference:
    """Effects of perturbations on genes, in halves of the cells."""

    names: list[str]
    targets: list[list[str]]
    genes: list[str]
    own_genes: Bools  # genes that are targets of the perturbation itself
    first: Bools  # buckets of the first half of each split, (n_splits, n_buckets)
    effects: NDArray[np.float32]  # (n_splits, 2, n_perturbations, n_genes)
    shuffled: NDArray[np.float32]  # (n_shuffles, n_few, 2, n_perturbations, n_genes)
    scale: Floats  # of genes in every fold, under every labelling, (1 + n_shuffles, n_folds, n_genes)
    cells: SingleCells


def names_of(obs: pd.DataFrame, settings: ResponseSettings) -> list[str]:
    """Perturbations of cells enough, of these those of most cells, by name."""
    return largest(perturbation_sizes(obs), settings.cells_per_perturbation, settings.max_perturbations)


def why_undefined(obs: pd.DataFrame, genes: Collection[str], settings: ResponseSettings) -> str:
    """Why these cells have no score, with the count; empty if they have one."""
    names, wanted = names_of(obs, settings), settings.cells_per_perturbation
    n_control = int(obs["is_control"].sum())
    folds = folds_of(targets_of(names, genes), settings.folds) if names else None
    n_targets = len(folds.units) if folds else 0
    if n_targets < settings.MIN_TARGETS or n_control < wanted:
        return (
            f"{n_targets} targets ({len(names)} of {len(perturbation_sizes(obs))} perturbations) and "
            f"{n_control} control cells, of {wanted} cells each; {settings.MIN_TARGETS} targets and the "
            "control with so many cells are needed"
        )
    assert folds is not None
    n_training = int(folds.train.sum(axis=1).min())
    if n_training < MIN_TRAINING:
        return (
            f"perturbations share so many targets that {n_training} are left to train where a fifth of the "
            f"{n_targets} targets is held out; {MIN_TRAINING} are needed"
        )
    return ""


def make_reference(
    expression: sparse.csr_matrix,
    genes: pd.DataFrame,
    obs: pd.DataFrame,
    design: Design,
    all_genes: Collection[str],
    settings: ResponseSettings,
    seed: int,
) -> Reference:
    """Effects under every labelling; ``genes`` are the rows of the genes' table that ``expression`` has."""
    targets = targets_of(design.names, all_genes)
    train = folds_of(targets, settings.folds).train
    first = halves(design.n_buckets, settings.cell_splits, seed)
    made = []
    for labelling in range(len(design.groups)):
        splits = first if labelling == 0 else first[: settings.shuffle_splits]
        effects, deviations, cells = effects_of(expression, design, labelling, splits)
        made.append((effects.astype(np.float32), sampling_sd(deviations, cells, train)))
    scale = np.array([of_labelling for _, of_labelling in made])
    named = gene_names(genes)
    return Reference(
        names=design.names,
        targets=targets,
        genes=genes.index.astype(str).tolist(),
        own_genes=np.array([[not own.isdisjoint(names) for names in named] for own in map(set, targets)]),
        first=first,
        effects=made[0][0],
        shuffled=np.array([effects for effects, _ in made[1:]], dtype=np.float32),
        scale=scale if settings.gene_scale == "sampling_sd" else np.ones_like(scale),
        cells=single_cells(expression, obs, design, seed),
    )


def gene_names(genes: pd.DataFrame) -> list[set[str]]:
    """Every gene's names: of the table's index, its symbol and its Ensembl id."""
    columns = [genes[name].astype(str) for name in ("symbol", "ensembl_id") if name in genes]
    return [set(names) - {"", "nan"} for names in zip(genes.index.astype(str), *columns, strict=True)]


def single_cells(expression: sparse.csr_matrix, obs: pd.DataFrame, design: Design, seed: int) -> SingleCells:
    """Draw cells of the design, by their names, and shuffle their perturbations within lanes."""
    chance = Chance(seed, design.cell_ids)
    used = np.flatnonzero(design.groups[0] >= 0)
    rows = np.sort(used[np.argsort(chance.keys(0)[used], kind="stable")[:CELL_LEVEL_CELLS]])
    item = group_cells(obs, design.names)
    drawn = np.zeros(len(item), dtype=bool)
    drawn[rows] = True
    lane = combined_codes(obs, list(LANE_COLUMNS))
    shuffled = item[shuffled_within(lane, drawn, chance, SHUFFLE_OF_CELLS)]
    values = expression[rows].toarray()
    variance = values.var(axis=0)
    values = values[:, np.sort(np.argsort(-variance, kind="stable")[:CELL_LEVEL_GENES])]
    control = item[rows] == 0
    values -= values[control].mean(axis=0) if control.any() else values.mean(axis=0)
    return SingleCells(rows, item[rows], shuffled[rows], values.astype(np.float32))


def write_reference(path: str | Path, reference: Reference) -> None:
    """Write a reference, always the same bytes for the same content."""
    arrays = vars(reference) | {
        "targets": np.array(["\n".join(own) for own in reference.targets]),
        **{f"cells_{name}": values for name, values in vars(reference.cells).items()},
    }
    del arrays["cells"]
    write_arrays(path, **arrays)


def read_reference(path: str | Path) -> Reference:
    """Read what :func:`write_reference` wrote; a DataError if the file is not such a reference."""
    with arrays_of(path, "a reference of task response") as arrays:
        plain = ("own_genes", "first", "effects", "shuffled", "scale")
        cells = ("rows", "item", "shuffled", "expression")
        return Reference(
            names=arrays["names"].tolist(),
            targets=[own.split("\n") for own in arrays["targets"].tolist()],
            genes=arrays["genes"].tolist(),
            cells=SingleCells(**{name: arrays[f"cells_{name}"] for name in cells}),
            **{name: arrays[name] for name in plain},
        )
