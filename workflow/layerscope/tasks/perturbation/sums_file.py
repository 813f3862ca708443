"""The file of sums: what an extraction with ``keep: sums`` leaves of each layer instead of its cells.

HDF5. ``layers/{layer}/{as_they_are|unit_norm}`` hold ``counts`` and ``sums`` over the groups of a
design, ``layers/{layer}/everyone`` the ``counts`` and ``sums`` of ALL cells of each perturbation (for
protocol ``paper``), ``everyone`` the perturbations' names, ``uns/layerscope`` the provenance, and the
attribute ``design`` the digest of the design (empty, with ``everyone`` alone, where there was none). Read by
:mod:`layerscope.tasks.perturbation.sums_reader`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.errors import DataError
from layerscope.tasks.perturbation.centroids import unit_rows
from layerscope.tasks.perturbation.design import Design
from layerscope.tasks.perturbation.sums import Accumulator

KIND = "sums"
AS_THEY_ARE, UNIT_NORM = "as_they_are", "unit_norm"
EVERYONE, EVERYONE_UNIT_NORM = "everyone", "everyone_unit_norm"


class SumsWriter:
    """Sums the cells of every layer as an extraction yields them, and writes the sums at the end.

    Parameters
    ----------
    obs
        The cells' table.
    widths
        Width of each layer by name.
    design
        The design of the condition's splits; without one the file serves the protocols that need none.

    Attributes
    ----------
    design_digest
        What tells this design from another; empty without one.

    Raises
    ------
    DataError
        If the design is not one of these cells.
    """

    def __init__(self, obs: pd.DataFrame, widths: Mapping[str, int], design: Design | None = None) -> None:
        cell_ids = obs.index.tolist()
        if design is not None and cell_ids != design.cell_ids:
            raise DataError("the design of splits is not one of these cells; make it again")
        self.design_digest = digest(design) if design is not None else ""
        self._names, item = everyone(obs)
        one = Design(self._names, cell_ids, 1, 0, item[None, :].astype(np.int32))
        self._layers: dict[str, dict[str, Accumulator]] = {}
        for layer, width in widths.items():
            sums = {EVERYONE: Accumulator(one, width), EVERYONE_UNIT_NORM: Accumulator(one, width)}
            if design is not None:
                sums[AS_THEY_ARE] = Accumulator(design, width)
                sums[UNIT_NORM] = Accumulator(design, width, n_labellings=1)
            self._layers[layer] = sums

    def add(self, layer: str, cells: NDArray[np.integer] | slice, matrix: NDArray[np.floating]) -> None:
        """Add cells of a layer: which, and their vectors (NaN where the model refused a cell)."""
        rows = np.asarray(matrix, dtype=np.float64)
        unit = unit_rows(rows)
        for version, sums in self._layers[layer].items():
            sums.add(cells, unit if version in (UNIT_NORM, EVERYONE_UNIT_NORM) else rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has been summed so far, by ``layer/version/what``: views, to be saved or to be filled."""
        return {
            f"{layer}/{version}/{what}": array
            for layer, versions in self._layers.items()
            for version, sums in versions.items()
            for what, array in sums.arrays().items()
        }

    def write(self, path: str | Path, provenance: Mapping[str, Any]) -> None:
        """Write all sums to a scratch path of :func:`layerscope.files.whole`; equal sums, equal bytes."""
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = KIND
            file.attrs["design"] = self.design_digest
            _write_text(file, "everyone", self._names)
            file.create_group("uns")
            text = json.dumps(dict(provenance), indent=1, sort_keys=True, allow_nan=False)
            file["uns"].create_dataset("layerscope", data=text, dtype=h5py.string_dtype())
            for layer, versions in self._layers.items():
                for version, sums in versions.items():
                    totals, group = sums.finish(), file.create_group(f"layers/{layer}/{version}")
                    group["counts"], group["sums"] = totals.counts, totals.sums


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
    sha256 = hashlib.sha256(json.dumps(about).encode())
    sha256.update(np.ascontiguousarray(design.groups).tobytes())
    return sha256.hexdigest()


def _write_text(file: h5py.File, name: str, values: Iterable[str]) -> None:
    file.create_dataset(name, data=np.array(list(values), dtype=object), dtype=h5py.string_dtype())
