"""The file of sums: what an extraction with ``keep: sums`` leaves of each layer instead of its cells.

HDF5. ``layers/{layer}/{as_they_are|unit_norm}`` hold ``counts``, ``sums`` and ``squares`` over the groups of
a design, ``layers/{layer}/everyone`` the ``counts`` and ``sums`` of ALL cells of each perturbation (for
protocol ``paper``), ``everyone`` the perturbations' names, ``uns/layerscope`` the provenance, and the
attribute ``design`` the digest of the design.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.perturbation.centroids import GroupSums
from layerscope.perturbation.design import Design
from layerscope.perturbation.scores import AllCells
from layerscope.perturbation.sums import Accumulator, LayerSums

KIND = "sums"
AS_THEY_ARE, UNIT_NORM = "as_they_are", "unit_norm"
EVERYONE, EVERYONE_UNIT_NORM = "everyone", "everyone_unit_norm"


class SumsWriter:
    """Sums the cells of every layer as an extraction yields them, and writes the sums at the end.

    Parameters
    ----------
    path
        The file to make (a scratch path of :func:`layerscope.files.whole`).
    design
        The design of the condition's splits.
    obs
        The cells' table.
    widths
        Width of each layer by name.
    """

    def __init__(
        self, path: str | Path, design: Design, obs: pd.DataFrame, widths: Mapping[str, int]
    ) -> None:
        if obs.index.tolist() != design.cell_ids:
            raise DataError("the design of splits is not one of these cells; make it again")
        self._path = path
        self._design = design
        self._names, item = everyone(obs)
        one = Design(self._names, design.cell_ids, 1, 0, item[None, :].astype(np.int32))
        self._layers = {
            layer: {
                AS_THEY_ARE: Accumulator(design, width),
                UNIT_NORM: Accumulator(design, width, n_labellings=1, unit_norm=True),
                EVERYONE: Accumulator(one, width),
                EVERYONE_UNIT_NORM: Accumulator(one, width, unit_norm=True),
            }
            for layer, width in widths.items()
        }

    def add(self, layer: str, cells: NDArray[np.integer] | slice, matrix: NDArray[np.floating]) -> None:
        """Add cells of a layer: which, and their vectors (NaN where the model refused a cell)."""
        for sums in self._layers[layer].values():
            sums.add(cells, matrix)

    def finish(self, provenance: Mapping[str, Any]) -> None:
        """Write all sums; the same cells give the same bytes."""
        with h5py.File(self._path, "w") as file:
            file.attrs["kind"] = KIND
            file.attrs["design"] = digest(self._design)
            _write_text(file, "everyone", self._names)
            file.create_group("uns")
            text = json.dumps(dict(provenance), indent=1, sort_keys=True, allow_nan=False)
            file["uns"].create_dataset("layerscope", data=text, dtype=h5py.string_dtype())
            for layer, versions in self._layers.items():
                for version, sums in versions.items():
                    found, group = sums.finish(), file.create_group(f"layers/{layer}/{version}")
                    group["counts"], group["sums"] = found.counts, found.sums
                    group["squares"] = found.squares


def everyone(obs: pd.DataFrame) -> tuple[list[str], NDArray[np.int64]]:
    """All perturbations by name, and the item of each cell: 0 control, 1.. perturbations, -1 neither."""
    control = obs["is_control"].to_numpy(dtype=bool)
    labels = obs["perturbation"].astype(str).to_numpy(dtype=object)
    names = sorted(set(labels[~control]) - {""})
    number = {name: index + 1 for index, name in enumerate(names)}
    item = np.array([number.get(label, -1) for label in labels], dtype=np.int64)
    item[control] = 0
    return names, item


def digest(design: Design) -> str:
    """What tells one design from another."""
    about = [design.n_buckets, design.cells_per_perturbation, design.names, design.cell_ids]
    found = hashlib.sha256(json.dumps(about).encode())
    found.update(np.ascontiguousarray(design.groups).tobytes())
    return found.hexdigest()


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
        if file.attrs["design"] != digest(design):
            raise DataError(
                f"{path}: these sums were kept for another design of splits; extract the layers again"
            )
        stored = _layer(file, path, layer)
        plain, unit = (
            LayerSums(counts=one["counts"][()], sums=one["sums"][()], squares=one["squares"][()])
            for one in (stored[AS_THEY_ARE], stored[UNIT_NORM])
        )
        return plain, unit, json.loads(file["uns/layerscope"].asstr()[()])


def read_everyone(path: str | Path, layer: str, names: Sequence[str]) -> tuple[AllCells, dict[str, Any]]:
    """Sums of all cells of the control and the named perturbations (none, if the file lacks one)."""
    with h5py.File(path, "r") as file:
        stored = _layer(file, path, layer)
        place = {name: index + 1 for index, name in enumerate(file["everyone"].asstr()[()].tolist())}
        known = [0, *(place[name] for name in names if name in place)]
        rows = [0, *(1 + index for index, name in enumerate(names) if name in place)]
        found = []
        for version in (EVERYONE, EVERYONE_UNIT_NORM):
            kept = {what: stored[version][what][()] for what in ("counts", "sums", "squares")}
            counts = np.zeros(len(names) + 1, dtype=np.int64)
            sums, squares = np.zeros((2, len(names) + 1, kept["squares"].shape[1]))
            counts[rows], sums[rows], squares[rows] = (
                kept["counts"][0, known],
                kept["sums"][0, known],
                kept["squares"][known],
            )
            found.append(GroupSums(counts=counts, sums=sums, squares=squares))
        provenance: dict[str, Any] = json.loads(file["uns/layerscope"].asstr()[()])
        return AllCells(as_they_are=found[0], unit_norm=found[1]), provenance


def _kind(path: str | Path) -> str:
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("kind", ""))


def _layer(file: h5py.File, path: str | Path, layer: str) -> h5py.Group:
    if layer not in file["layers"]:
        raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(file['layers'])}")
    return file["layers"][layer]


def _write_text(file: h5py.File, name: str, values: Iterable[str]) -> None:
    file.create_dataset(name, data=np.array(list(values), dtype=object), dtype=h5py.string_dtype())
