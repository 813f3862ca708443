"""A trajectory's reference: the pseudotime that came with the cells, or one computed on ``hvg_pca``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Floating, Floats, Ints
from layerscope.cells import ROOT_CELL
from layerscope.cells.obs import read_obs, read_root_cell
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import OFFICIAL, demand_numbers, read_table, write_table
from layerscope.tasks.trajectory.graph import neighbour_graph
from layerscope.tasks.trajectory.pseudotime import diffusion_map, diffusion_pseudotime
from layerscope.tasks.trajectory.settings import TrajectorySettings

FROM_DATASET = "dataset: reference_pseudotime"
COMPUTED_FROM = "hvg_pca"
COMPUTED = f"computed on {COMPUTED_FROM}"
UNAVAILABLE = "not available: "
COLUMNS = ("cell_id", "pseudotime", "is_root", "source", "root_source", "neighbours")
NO_ROOT = -1


@dataclass(frozen=True)
class Reference:
    """A reference pseudotime of all cells of a condition, in the order of its file."""

    cell_ids: list[str]
    pseudotime: Floats
    """``inf`` where a cell cannot be reached from the root, NaN where the dataset gives none."""
    root: int  # index of the one root cell; NO_ROOT if the protocol has none for these cells
    source: str
    """Where the pseudotime is from: :data:`FROM_DATASET`, :data:`COMPUTED`, or the protocol's own words."""
    root_source: str  # how the root was chosen, in words
    neighbours: npt.NDArray[np.int64] | None = None
    """Nearest other cells in the representation that made the reference, shape ``(n_cells, k)``, or None."""
    unavailable: str = ""  # why the protocol has no reference for these cells; empty where it has one

    @classmethod
    def missing(cls, cell_ids: Sequence[str], reason: str) -> Reference:
        """Reference of a protocol that cannot be had for these cells."""
        unknown = np.full(len(cell_ids), np.nan)
        return cls(list(cell_ids), unknown, NO_ROOT, UNAVAILABLE + reason, "", unavailable=reason)


def make_reference(
    cells: str | Path, baseline_embeddings: str | Path, settings: TrajectorySettings
) -> Reference:
    """The data's own pseudotime and root where they are named, else by the ``hvg_pca`` embeddings."""
    obs = read_obs(cells)
    baseline = read_layer(baseline_embeddings, OFFICIAL)
    if list(baseline.cell_ids) != list(obs.index):
        raise DataError(f"{baseline_embeddings}: its cells are not those of {cells}. Delete it and run again")
    root, root_source = find_root(obs, read_root_cell(cells), baseline.matrix, str(cells))
    if "reference_pseudotime" in obs:
        pseudotime, source = obs["reference_pseudotime"].to_numpy(dtype=np.float64), FROM_DATASET
    else:
        pseudotime, source = computed_pseudotime(baseline.matrix, root, settings), COMPUTED
    return Reference(list(obs.index), pseudotime, root, source, root_source)


def computed_pseudotime(matrix: Floating, root: int, settings: TrajectorySettings) -> Floats:
    """Diffusion pseudotime from the root, on the graph of a representation."""
    graph = neighbour_graph(matrix, settings.neighbours, settings.metric)
    diffusion = diffusion_map(graph, settings.components)
    pseudotime = diffusion_pseudotime(diffusion, [root], settings.dpt_components)
    return np.asarray(pseudotime[0], dtype=np.float64)


class NoRootError(DataError):
    """The cells say nothing of where their trajectory starts."""


def root_cells(obs: pd.DataFrame, origin: str) -> tuple[Ints, str]:
    """The cells marked ``is_root``, else all, of the earliest time with any; and what they are, in words."""
    marked = obs["is_root"].to_numpy(dtype=bool) if "is_root" in obs else np.zeros(len(obs), dtype=bool)
    words = "is_root cells"
    if not marked.any() and "time" in obs:
        marked, words = np.ones(len(obs), dtype=bool), "cells"
    if not marked.any():
        raise NoRootError(
            f"{origin}: no root: found neither uns['{ROOT_CELL}'] nor a cell with is_root nor times. "
            "Give the dataset a `root` (column and value) or a `time` column in the config"
        )
    if "time" in obs:
        order = obs["time"].cat.codes.to_numpy().astype(np.int64)
        timed = marked & (order >= 0)
        if timed.any():
            earliest = order[timed].min()
            marked = timed & (order == earliest)
            words += f" at the earliest time, {obs['time'].cat.categories[earliest]}"
    return np.flatnonzero(marked), words


def find_root(obs: pd.DataFrame, named: str | None, baseline: Floating, origin: str) -> tuple[int, str]:
    """The root that the data name, else the root cell nearest to their centroid; and how it was chosen."""
    if named is not None:
        if named not in obs.index:
            raise DataError(f"{origin}: uns['{ROOT_CELL}'] names {named!r}, which is not one of the cells")
        return int(obs.index.get_loc(named)), f"dataset: {ROOT_CELL}"
    candidates, words = root_cells(obs, origin)
    points = np.asarray(baseline[candidates], dtype=np.float64)
    usable = np.isfinite(points).all(axis=1)
    if not usable.any():
        raise DataError(f"{origin}: none of the {len(candidates)} {words} has a {COMPUTED_FROM} embedding")
    candidates, points = candidates[usable], points[usable]
    distance = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    return int(candidates[np.argmin(distance)]), f"nearest to the centroid of {len(candidates)} {words}"


def write_reference(path: str | Path, reference: Reference) -> None:
    """Write a reference as a table, one row per cell; neighbours as indices with spaces between."""
    is_root = (np.arange(len(reference.cell_ids)) == reference.root).astype(int)
    lists = reference.neighbours
    words = "" if lists is None else [" ".join(map(str, row)) for row in lists.tolist()]
    pseudotime, sources = reference.pseudotime, (reference.source, reference.root_source)
    columns = (reference.cell_ids, pseudotime, is_root, *sources, words)
    write_table(path, pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))


def read_reference(path: str | Path) -> Reference:
    """Read what :func:`write_reference` wrote."""
    table = read_table(path, text=("cell_id", "source", "root_source", "neighbours"))
    if tuple(table.columns) != COLUMNS or table.empty:
        raise DataError(
            f"{path}: expected cells with the columns {', '.join(COLUMNS)}. Delete it and run again"
        )
    demand_numbers(path, table, ["pseudotime", "is_root"])
    cell_ids, source = table["cell_id"].tolist(), table["source"].iloc[0]
    if source.startswith(UNAVAILABLE):
        return Reference.missing(cell_ids, source.removeprefix(UNAVAILABLE))
    roots = np.flatnonzero(table["is_root"] == 1)
    if len(roots) != 1:
        raise DataError(f"{path}: expected one root cell, found {len(roots)}")
    lists = [np.array(row.split(), dtype=np.int64) for row in table["neighbours"]]
    return Reference(
        cell_ids,
        table["pseudotime"].to_numpy(dtype=np.float64),
        int(roots[0]),
        source,
        table["root_source"].iloc[0],
        np.vstack(lists) if lists[0].size else None,
    )
