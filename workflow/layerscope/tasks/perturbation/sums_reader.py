"""Read what an extraction with ``keep: sums`` left; see :mod:`layerscope.tasks.perturbation.sums_file`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from layerscope.errors import DataError
from layerscope.tasks.perturbation.centroids import AllCells, GroupSums
from layerscope.tasks.perturbation.design import Design
from layerscope.tasks.perturbation.sums import LayerSums
from layerscope.tasks.perturbation.sums_file import (
    AS_THEY_ARE,
    EVERYONE,
    EVERYONE_UNIT_NORM,
    KIND,
    UNIT_NORM,
    digest,
)


def is_sums(path: str | Path) -> bool:
    """Whether a file is a file of sums (and not of cells' embeddings)."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such embeddings file")
    return h5py.is_hdf5(path) and _kind(path) == KIND


def read_layer_sums(
    path: str | Path, layer: str, design: Design
) -> tuple[LayerSums, LayerSums, dict[str, Any]]:
    """Sums of a layer's cells, as they are and of unit length, and the provenance.

    Raises
    ------
    DataError
        If the file has no such layer, or was made with another design.
    """
    with h5py.File(path, "r") as file:
        if not file.attrs["design"]:
            raise DataError(f"{path}: these sums were kept without a design of splits; extract them again")
        if file.attrs["design"] != digest(design):
            raise DataError(
                f"{path}: these sums were kept for another design of splits; extract the layers again"
            )
        versions = _layer(file, path, layer)
        plain, unit = (
            LayerSums(counts=one["counts"][()], sums=one["sums"][()])
            for one in (versions[AS_THEY_ARE], versions[UNIT_NORM])
        )
        return plain, unit, json.loads(file["uns/layerscope"].asstr()[()])


def read_everyone(path: str | Path, layer: str, names: Sequence[str]) -> tuple[AllCells, dict[str, Any]]:
    """Sums of all cells of the control and the named perturbations (none, if the file lacks one)."""
    with h5py.File(path, "r") as file:
        versions = _layer(file, path, layer)
        place = {name: index + 1 for index, name in enumerate(file["everyone"].asstr()[()].tolist())}
        known = [0, *(place[name] for name in names if name in place)]
        rows = [0, *(1 + index for index, name in enumerate(names) if name in place)]
        groups = []
        for version in (EVERYONE, EVERYONE_UNIT_NORM):
            totals = {what: versions[version][what][0] for what in ("counts", "sums")}
            counts = np.zeros(len(names) + 1, dtype=np.int64)
            sums = np.zeros((len(names) + 1, totals["sums"].shape[1]))
            counts[rows], sums[rows] = totals["counts"][known], totals["sums"][known]
            groups.append(GroupSums(counts=counts, sums=sums))
        provenance: dict[str, Any] = json.loads(file["uns/layerscope"].asstr()[()])
        return AllCells(as_they_are=groups[0], unit_norm=groups[1]), provenance


def _kind(path: str | Path) -> str:
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("kind", ""))


def _layer(file: h5py.File, path: str | Path, layer: str) -> h5py.Group:
    if layer not in file["layers"]:
        raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(file['layers'])}")
    return file["layers"][layer]
