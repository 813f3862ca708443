"""Embeddings that a user brings, as the embeddings file of the prepared cells: matched by name, not place."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope import __version__
from layerscope.cells.canonical import read_about
from layerscope.cells.h5ad_file import open_h5ad, read_index
from layerscope.errors import DataError
from layerscope.extraction.array_files import ArrayFile, open_arrays
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.files import refuse_overwriting
from layerscope.models.entries import EmbeddingsFile
from layerscope.sources.manifest import sha256
from layerscope.tables import OFFICIAL

log = logging.getLogger(__name__)

ABSENT = "not in the file of embeddings"
NOT_FINITE = "its embedding holds values that are not finite"


def import_embeddings(
    *,
    model: str,
    cells: str | Path,
    source: Mapping[str, Any],
    layers: Mapping[str, Any],
    max_missing: float,
    max_surplus: float,
    output: str | Path,
    trained_on: str = "",
) -> None:
    """Write embeddings that a user brings as a file of embeddings of the prepared cells.

    Parameters
    ----------
    model
        Its name.
    cells
        The prepared cells; the file is matched to them by name, whatever its order.
    source
        ``path``, ``cells`` and ``column``, as in a study.
    layers
        Layer name to the name of its array.
    max_missing
        Share of the prepared cells that may lack an embedding. Their rows are NaN, as those of cells that a
        model refuses.
    max_surplus
        Share of the file's cells that may be none of the prepared ones.
    output
        The file to make.
    trained_on
        What the model was trained on, for the provenance.
    """
    given = EmbeddingsFile.read(source, "--source")
    paths = [given.path, *([given.cells] if given.cells else [])]
    refuse_overwriting(output, cells, *paths)
    arrays = open_arrays(given.path, given.column)
    names = open_arrays(given.cells, given.column).cell_ids() if given.cells else arrays.cell_ids()
    about = read_about(cells)["provenance"]
    with open_h5ad(cells) as file:
        cell_ids = read_index(file["obs"])
    rows = match_cells(cell_ids, names, paths[-1], str(cells))
    present, places = rows >= 0, {layer: str(place) for layer, place in sorted(layers.items())}
    n_surplus = len(names) - int(present.sum())
    refused = dict.fromkeys(np.flatnonzero(~present).tolist(), ABSENT)
    widths = {}
    for layer, place in places.items():
        values = _array(arrays, place, rows, len(names))
        widths[layer] = values.shape[1]
        finite = np.isfinite(values).all(axis=1)
        refused |= dict.fromkeys(np.flatnonzero(~finite & present).tolist(), NOT_FINITE)
    counts, n_cells = Counter(refused.values()), len(cell_ids)
    missing, surplus = "prepared cells have no embedding", "cells are none of the prepared"
    _demand_share(given.path, missing, len(refused), n_cells, "max_missing", max_missing)
    _demand_share(given.path, surplus, n_surplus, len(names), "max_surplus", max_surplus)
    log.info("%s: %d of %d prepared cells have an embedding", given.path, n_cells - len(refused), n_cells)
    for reason, number in sorted(counts.items()):
        log.warning("%s: %d of %d prepared cells are left out: %s", given.path, number, n_cells, reason)
    log.info("%s: cells that are none of the prepared ones: %d", given.path, n_surplus)
    n_layers = max((int(layer) for layer in layers if layer != OFFICIAL), default=0)
    provenance = {
        "model": model,
        "family": "stored",
        "n_layers": n_layers,
        "hidden_size": widths.get(OFFICIAL, max(widths.values())),
        "dtype": "float32",
        "trained_on": trained_on,
        "source": given.model_dump(mode="json", exclude_none=True),
        "sha256": [sha256(path) for path in paths if Path(path).is_file()],
        "arrays": dict(layers),
        "cells": {name: about.get(name, "") for name in ("condition", "dataset")},
        "n_cells": len(cell_ids),
        "n_missing": counts[ABSENT],
        "n_surplus": n_surplus,
        "n_refused": len(refused),
        "refused": dict(sorted(counts.items())),
        "layerscope_version": __version__,
    }

    def blocks() -> Iterator[dict[str, npt.NDArray[np.float32]]]:
        """One layer at a time: a cell without one of its layers has none."""
        for layer, place in places.items():
            values = _array(arrays, place, rows, len(names))
            values[list(refused)] = np.nan
            yield {layer: values}

    write_embeddings(output, cell_ids, blocks(), provenance, refused)


def _demand_share(path: str, what: str, number: int, of: int, key: str, most: float) -> None:
    """Refuse more cells of a kind than the share that a setting allows."""
    if number > most * of:
        raise DataError(
            f"{path}: {number:,} of {of:,} {what}, more than the share {key}: {most:g} allows; are these the "
            f"same cells? If so, set {key}: {math.ceil(1000 * number / of) / 1000:g} or more"
        )


def _array(file: ArrayFile, name: str, rows: npt.NDArray[np.intp], n_rows: int) -> npt.NDArray[np.float32]:
    """The prepared cells' rows of an array, NaN for cells that the file does not have.

    It is read when it is asked for: files of many layers need not fit into memory.
    """
    values = file.read(name)
    if len(values) != n_rows:
        raise DataError(
            f"{file.path}: array {name!r} has {len(values)} rows, but {n_rows} cells are named; expected a "
            "row for each, in the same order"
        )
    of_cells = values[rows]
    of_cells[rows < 0] = np.nan
    return of_cells


def match_cells(
    cell_ids: Sequence[str], names: Sequence[str], where: str, cells: str
) -> npt.NDArray[np.intp]:
    """The row of each prepared cell in a file, -1 where it is not; a DataError for a name given twice."""
    places = {name: row for row, name in enumerate(names)}
    if len(places) < len(names):
        twice, n_times = Counter(names).most_common(1)[0]
        raise DataError(f"{where}: the cell {twice!r} is named {n_times} times; name each cell once")
    rows = np.array([places.get(name, -1) for name in cell_ids], dtype=np.intp)
    if not (rows >= 0).any():
        raise DataError(
            f"{where}: none of the {len(cell_ids)} cells of {cells} is in it: they are called "
            f"{_examples(cell_ids)} there and {_examples(names)} here; name them alike, or give another "
            "'column'"
        )
    return rows


def _examples(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:2])) or "nothing"
