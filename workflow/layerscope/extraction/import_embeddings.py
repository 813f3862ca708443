"""Embeddings that a user brings, as the embeddings file of the prepared cells: matched by name, not place."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Match:
    """Which rows of a file are the prepared cells."""

    rows: npt.NDArray[np.intp]  # per prepared cell; -1 for one that the file does not have
    n_surplus: int  # cells of the file that are none of the prepared ones

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which prepared cells the file has."""
        return self.rows >= 0


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
    match = match_cells(cell_ids, names, paths[-1], str(cells))
    of_layers = {layer: _Array(arrays, str(place), len(names)) for layer, place in sorted(layers.items())}
    refused = dict.fromkeys(np.flatnonzero(~match.present).tolist(), ABSENT)
    widths = {}
    for layer, array in of_layers.items():
        values = array.rows(match)
        widths[layer] = values.shape[1]
        finite = np.isfinite(values).all(axis=1)
        refused |= dict.fromkeys(np.flatnonzero(~finite & match.present).tolist(), NOT_FINITE)
    counts, n_cells = Counter(refused.values()), len(cell_ids)
    limits = (
        ("max_missing", max_missing, len(refused), n_cells, "prepared cells have no embedding"),
        ("max_surplus", max_surplus, match.n_surplus, len(names), "cells are none of the prepared"),
    )
    for key, most, number, of, what in limits:
        if number > most * of:
            raise DataError(
                f"{given.path}: {number:,} of {of:,} {what}, more than the share {key}: {most:g} allows; are "
                f"these the same cells? If so, set {key}: {math.ceil(1000 * number / of) / 1000:g} or more"
            )
    log.info("%s: %d of %d prepared cells have an embedding", given.path, n_cells - len(refused), n_cells)
    for reason, number in sorted(counts.items()):
        log.warning("%s: %d of %d prepared cells are left out: %s", given.path, number, n_cells, reason)
    log.info("%s: cells that are none of the prepared ones: %d", given.path, match.n_surplus)
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
        "n_surplus": match.n_surplus,
        "n_refused": len(refused),
        "refused": dict(sorted(counts.items())),
        "layerscope_version": __version__,
    }
    write_embeddings(output, cell_ids, _blocks(of_layers, match, list(refused)), provenance, refused)


@dataclass(frozen=True)
class _Array:
    """One layer of a file, read when it is asked for: files of many layers need not fit into memory."""

    file: ArrayFile
    name: str
    n_rows: int

    def rows(self, match: Match) -> npt.NDArray[np.float32]:
        """The prepared cells' rows, NaN for cells that the file does not have."""
        values = self.file.read(self.name)
        if len(values) != self.n_rows:
            raise DataError(
                f"{self.file.path}: array {self.name!r} has {len(values)} rows, but {self.n_rows} cells are "
                "named; expected a row for each, in the same order"
            )
        rows = values[match.rows]
        rows[~match.present] = np.nan
        return rows


def _blocks(
    arrays: Mapping[str, _Array], match: Match, refused: Sequence[int]
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    """One layer at a time, NaN for refused cells: a cell without one of its layers has none."""
    for layer, array in arrays.items():
        values = array.rows(match)
        values[refused] = np.nan
        yield {layer: values}


def match_cells(cell_ids: Sequence[str], names: Sequence[str], where: str, cells: str) -> Match:
    """Find prepared cells in a file by their names; a DataError if it names one twice, or none of them."""
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
    return Match(rows, len(names) - int((rows >= 0).sum()))


def _examples(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:2])) or "nothing"
