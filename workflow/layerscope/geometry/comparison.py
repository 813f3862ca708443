"""Tables of alignment: one row per pair of layers, and one per layer and baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerscope.arrays import Ints
from layerscope.chance import Chance
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import (
    NOT_AVAILABLE,
    read_cells,
    read_layer,
    read_layers,
    read_provenance,
    read_rows,
)
from layerscope.files import refuse_overwriting
from layerscope.geometry.alignment import MIN_CELLS, Kernel, alignment
from layerscope.geometry.settings import GeometrySettings
from layerscope.tables import OFFICIAL, read_table, write_table

Places = Ints
Kernels = Mapping[tuple[str, str], Kernel]  # by model and layer
TEXT = ("condition", "model", "layer", "other_model", "other_layer")


def compare_layers(
    embeddings: str | Path,
    condition: str,
    model: str,
    settings: Mapping[str, Any],
    seed: int,
    output: str | Path,
) -> None:
    """Align every layer of a model with every other and write a table.

    Parameters
    ----------
    embeddings
        All layers of the model.
    condition, model
        Names for the rows.
    settings
        See :class:`~layerscope.geometry.settings.GeometrySettings`.
    seed
        Seed of the sample of cells.
    output
        The table to make: ``condition``, ``model``, ``layer``, ``other_model``, ``other_layer``, ``cka``,
        ``n_cells``.
    """
    refuse_overwriting(output, embeddings)
    size = GeometrySettings.read(settings).alignment_cells
    cells = common_cells([embeddings], seed, size)
    kernels = {
        (model, layer): Kernel(read_layer(embeddings, layer).matrix[cells].astype(np.float64))
        for layer in read_layers(embeddings)
    }
    write_table(output, pd.DataFrame(_rows(condition, kernels, kernels, len(cells))))


def compare_with_baselines(
    tables: Sequence[str | Path],
    embeddings: Sequence[str | Path],
    baselines: Sequence[str | Path],
    settings: Mapping[str, Any],
    seed: int,
    output: str | Path,
) -> None:
    """Align every layer of all models with the baselines, and write one table with what the models have.

    Of each layer only the sampled rows are read, one layer at a time.

    Parameters
    ----------
    tables
        What :func:`compare_layers` made of each model.
    embeddings
        The models' layers, in the same order: ``.../CONDITION/MODEL.h5ad``.
    baselines
        Embeddings of the baselines, likewise; a model is aligned with those of its condition.
    settings, seed
        As for :func:`compare_layers`.
    output
        The table to make, with the columns of ``tables``: of each model its own rows and then one per layer
        and baseline.
    """
    refuse_overwriting(output, *tables, *embeddings, *baselines)
    size = GeometrySettings.read(settings).alignment_cells
    rows: list[pd.DataFrame] = []
    sampled: tuple[list[Path], bytes] | None = None
    for table, path in zip(tables, map(Path, embeddings), strict=True):
        rows.append(read_table(table, text=TEXT))
        beside = [Path(baseline) for baseline in baselines if Path(baseline).parent == path.parent]
        of_condition = [file for file in beside if NOT_AVAILABLE not in read_provenance(file)]
        if not of_condition:
            continue
        cells = common_cells([path, *of_condition], seed, size)
        if sampled != (of_condition, cells.tobytes()):  # models that accept the same cells share the kernels
            sampled = (of_condition, cells.tobytes())
            kernels = {(file.stem, OFFICIAL): _kernel(file, OFFICIAL, cells) for file in of_condition}
        for layer in read_layers(path):
            own = {(path.stem, layer): _kernel(path, layer, cells)}
            rows.append(pd.DataFrame(_rows(path.parent.name, own, kernels, len(cells))))
    write_table(output, pd.concat(rows, ignore_index=True))


def _rows(condition: str, layers: Kernels, partners: Kernels, n_cells: int) -> list[dict[str, Any]]:
    left = list(layers.values())
    table = alignment(left, left if partners is layers else list(partners.values()))
    return [
        dict(zip(TEXT, (condition, *layer, *partner), strict=True)) | {"cka": float(cka), "n_cells": n_cells}
        for layer, values in zip(layers, table, strict=True)
        for partner, cka in zip(partners, values, strict=True)
    ]


def _kernel(path: str | Path, layer: str, cells: Places) -> Kernel:
    return Kernel(read_rows(path, layer, cells).astype(np.float64))


def common_cells(files: Sequence[str | Path], seed: int, size: int) -> Places:
    """Places of some of the cells that all files have representations of, whatever the cells' order."""
    cell_ids, refused = read_cells(files[0])
    accepted = np.array([not reason for reason in refused], dtype=bool)
    for path in files[1:]:
        names, refused = read_cells(path)
        if names != cell_ids:
            raise DataError(f"{path}: not the cells of {files[0]}; compare representations of the same cells")
        accepted &= np.array([not reason for reason in refused], dtype=bool)
    order = Chance(seed, cell_ids).keys(0).argsort(kind="stable")
    sample = np.sort(order[accepted[order]][:size])
    if len(sample) < MIN_CELLS:
        whose = "all models" if len(files) > 1 else "the model"
        raise DataError(f"{files[0]}: {len(sample)} cells are accepted by {whose}; {MIN_CELLS} are needed")
    return np.asarray(sample)
