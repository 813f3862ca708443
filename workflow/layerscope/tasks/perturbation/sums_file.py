"""The file of sums: what an extraction with ``keep: sums`` leaves of each layer instead of its cells.

HDF5. ``layers/{layer}/{as_they_are|unit_norm}`` hold ``counts`` and ``sums`` over the groups of a design,
``layers/{layer}/{everyone|everyone_unit_norm}`` those of ALL cells of each perturbation (for protocols
``paper`` and ``released``), ``everyone`` the perturbations' names, ``uns/layerscope`` the provenance, and the
attribute ``design`` the digest of the design (empty, with ``everyone`` alone, where there was none).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.arrays import Floating, Integers
from layerscope.errors import DataError
from layerscope.tasks.screens.design import Design
from layerscope.tasks.screens.labels import group_cells, perturbation_sizes
from layerscope.tasks.screens.sums import LayerSums, unit_rows

KIND = "sums"
AS_THEY_ARE, UNIT_NORM = "as_they_are", "unit_norm"
EVERYONE, EVERYONE_UNIT_NORM = "everyone", "everyone_unit_norm"


class SumsWriter:
    """Sums the cells of every layer (by name, with its width) as an extraction yields them."""

    def __init__(self, obs: pd.DataFrame, widths: Mapping[str, int], design: Design | None = None) -> None:
        self._names = sorted(perturbation_sizes(obs))
        everyone = group_cells(obs, self._names)[None, :]
        groups: dict[str, Integers] = {EVERYONE: everyone, EVERYONE_UNIT_NORM: everyone}
        n_groups = dict.fromkeys(groups, len(self._names) + 1)
        self.design_digest = ""
        if design is not None:
            if obs.index.tolist() != design.cell_ids:
                raise DataError("the design of splits is not one of these cells; make it again")
            self.design_digest = digest(design)
            groups |= {AS_THEY_ARE: design.groups, UNIT_NORM: design.groups[:1]}
            n_groups |= dict.fromkeys((AS_THEY_ARE, UNIT_NORM), design.n_groups)
        self._groups = groups
        self._layers = {
            layer: {of: LayerSums.zeros(len(groups[of]), n_groups[of], width) for of in groups}
            for layer, width in widths.items()
        }

    def add(self, layer: str, cells: slice, matrix: Floating) -> None:
        """Add cells of a layer: which, and their vectors (NaN where the model refused a cell)."""
        rows = np.asarray(matrix, dtype=np.float64)
        unit = unit_rows(rows)
        for version, sums in self._layers[layer].items():
            chosen = unit if version in (UNIT_NORM, EVERYONE_UNIT_NORM) else rows
            sums.add(self._groups[version][:, cells], chosen)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has been summed so far, by ``layer/version/what``: views, to be saved or to be filled."""
        return {
            f"{layer}/{version}/{what}": array
            for layer, versions in self._layers.items()
            for version, sums in versions.items()
            for what, array in (("counts", sums.counts), ("sums", sums.sums))
        }

    def write(self, path: str | Path, provenance: Mapping[str, Any]) -> None:
        """Write all sums to a scratch path of :func:`layerscope.files.whole`; equal sums, equal bytes."""
        text = json.dumps(dict(provenance), indent=1, sort_keys=True, allow_nan=False)
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = KIND
            file.attrs["design"] = self.design_digest
            names = np.array(self._names, dtype=object)
            file.create_dataset(EVERYONE, data=names, dtype=h5py.string_dtype())
            file.create_dataset("uns/layerscope", data=text, dtype=h5py.string_dtype())
            for name, array in self.arrays().items():
                file[f"layers/{name}"] = array


def digest(design: Design) -> str:
    """What tells one design from another."""
    about = [design.n_buckets, design.cells_per_perturbation, design.names, design.cell_ids]
    sha256 = hashlib.sha256(json.dumps(about).encode())
    sha256.update(np.ascontiguousarray(design.groups).tobytes())
    return sha256.hexdigest()


def is_sums(path: str | Path) -> bool:
    """Whether a file is a file of sums (and not of cells' embeddings)."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such embeddings file")
    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("kind", "")) == KIND


def read_layer_sums(
    path: str | Path, layer: str, design: Design
) -> tuple[LayerSums, LayerSums, dict[str, Any]]:
    """Sums of a layer's cells by this design, as they are and of unit length, and the provenance."""
    with h5py.File(path, "r") as file:
        if not file.attrs["design"]:
            raise DataError(f"{path}: these sums were kept without a design of splits; extract them again")
        if file.attrs["design"] != digest(design):
            raise DataError(
                f"{path}: these sums were kept for another design of splits; extract the layers again"
            )
        versions = (_layer(file, path, layer)[version] for version in (AS_THEY_ARE, UNIT_NORM))
        plain, unit = (LayerSums(sums["counts"][()], sums["sums"][()]) for sums in versions)
        return plain, unit, _provenance(file)


def read_everyone(
    path: str | Path, layer: str, names: Sequence[str]
) -> tuple[LayerSums, LayerSums, dict[str, Any]]:
    """Sums of all cells of the control and the named perturbations (0 cells where the file lacks one)."""
    with h5py.File(path, "r") as file:
        versions = _layer(file, path, layer)
        place = {name: index + 1 for index, name in enumerate(file[EVERYONE].asstr()[()].tolist())}
        rows = np.array([0, *(place.get(name, -1) for name in names)])

        def sums(version: str) -> LayerSums:
            counts, totals = (versions[version][what][()][:, rows] for what in ("counts", "sums"))
            counts[:, rows < 0], totals[:, rows < 0] = 0, 0.0
            return LayerSums(counts, totals)

        return sums(EVERYONE), sums(EVERYONE_UNIT_NORM), _provenance(file)


def _layer(file: h5py.File, path: str | Path, layer: str) -> h5py.Group:
    if layer not in file["layers"]:
        raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(file['layers'])}")
    return file["layers"][layer]


def _provenance(file: h5py.File) -> dict[str, Any]:
    return dict(json.loads(file["uns/layerscope"].asstr()[()]))
