"""The embeddings file: one model's representations of one set of cells, every layer of it.

It is an AnnData without ``X``: ``obsm["layer_00"]`` ... ``obsm["official"]`` (cells x width), ``obs_names``
the cells in the order of the file they came from, ``obs["refused"]`` why a cell has no representation (its
rows are NaN), and ``uns["layerscope"]`` the provenance as JSON. HDF5 keeps a checksum of every chunk of a
layer, so that what a disk has changed is not taken for numbers. Nothing in it tells when or where it was
made: the same run gives the same bytes.

It is read without anndata, since the steps that score a layer run hundreds of times and must start at once.
Readers raise DataError if the file is missing or no embeddings file, has no such layer, or was changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from layerscope.cells.h5ad_file import RowNames, read_column, read_index
from layerscope.errors import DataError
from layerscope.files import whole
from layerscope.tables import OFFICIAL

PROVENANCE = "layerscope"
REFUSED = "refused"
NOT_AVAILABLE = "not_available"  # in the provenance: why no cell has a representation
# of 1,024 float32 each, a chunk of so many cells fills HDF5's chunk cache
CHUNK_CELLS = 256
BLOCK_BYTES = 16 << 20
REMEDY = "delete it and extract again"
RECORD = f"uns/{PROVENANCE}"
PARTS = (RECORD, "obsm", f"obs/{REFUSED}")


@dataclass(frozen=True)
class Layer:
    """One layer of one model."""

    cell_ids: list[str]
    matrix: npt.NDArray[np.float32]  # cells x width; NaN in the rows of refused cells
    provenance: dict[str, Any]  # how it was made
    refused: list[str] = field(default_factory=list)  # per cell why it has no representation; "" where it has


def key(layer: str) -> str:
    """The name in ``obsm`` of a layer: ``"official"``, or ``"layer_07"`` for ``"07"``."""
    return layer if layer == OFFICIAL else f"layer_{layer}"


def cells_of_block(cell_bytes: int) -> int:
    """How many cells to hold at once, whole chunks of them, if each takes so many bytes."""
    return max(BLOCK_BYTES // cell_bytes // CHUNK_CELLS, 1) * CHUNK_CELLS


def read_layer(path: str | Path, layer: str) -> Layer:
    """Read one layer: ``"00"``, ``"01"`` ... or ``"official"``."""
    with _opened(path) as file:
        matrix = _rows(file, path, layer, slice(None)).astype(np.float32, copy=False)
        cell_ids, refused = _cells(file)
        return Layer(cell_ids, matrix, _provenance(file, path), refused)


def read_cells(path: str | Path) -> tuple[list[str], list[str]]:
    """Names of the cells, and per cell why it has no representation (empty if it has)."""
    with _opened(path) as file:
        return _cells(file)


def read_rows(path: str | Path, layer: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Some rows of a layer, float32, shape ``(len(rows), width)``; ``rows`` in increasing order."""
    with _opened(path) as file:
        return _rows(file, path, layer, rows).astype(np.float32, copy=False)


def read_blocks(path: str | Path) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield some rows of every layer at a time, in the precision of the file."""
    with _opened(path) as file:
        layers = _layers(file)
        matrices = [file["obsm"][key(layer)] for layer in layers]
        size = cells_of_block(sum(matrix.dtype.itemsize * matrix.shape[1] for matrix in matrices))
        for start in range(0, len(RowNames(file["obs"])), size):
            rows = slice(start, start + size)
            yield {layer: _rows(file, path, layer, rows) for layer in layers}


def read_layers(path: str | Path) -> list[str]:
    """Names of the layers, in order."""
    with _opened(path) as file:
        return _layers(file)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """How the layers, or sums over groups of cells of them, were made."""
    with _opened(path, (RECORD,)) as file:
        return _provenance(file, path)


@contextmanager
def _opened(path: str | Path, parts: Iterable[str] = PARTS) -> Iterator[h5py.File]:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such embeddings file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a whole HDF5 file ({error}); {REMEDY}") from error
    with file:
        for place in parts:
            if place not in file:
                raise DataError(
                    f"{path}: not an embeddings file: {place} is missing; name what extract_layers.py or "
                    "compute_baseline.py wrote, and if this is it, extract again"
                )
        yield file


def _layers(file: h5py.File) -> list[str]:
    return sorted(name.removeprefix("layer_") for name in file["obsm"])


def _cells(file: h5py.File) -> tuple[list[str], list[str]]:
    reasons = read_column(file["obs"], REFUSED).astype(object)
    return read_index(file["obs"]), reasons.where(reasons.notna(), "").tolist()


def _rows(
    file: h5py.File, path: str | Path, layer: str, rows: slice | npt.NDArray[np.intp]
) -> npt.NDArray[Any]:
    """Rows of a layer, in the precision of the file."""
    if layer not in _layers(file):
        raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(_layers(file))}")
    matrix, n_cells = file["obsm"][key(layer)], len(RowNames(file["obs"]))
    shape: tuple[int, ...] = getattr(matrix, "shape", ())
    if len(shape) != 2 or shape[0] != n_cells:
        raise DataError(
            f"{path}: layer {layer!r} has the shape {shape}, expected a row for each of {n_cells} cells; "
            f"{REMEDY}"
        )
    try:
        values: npt.NDArray[Any] = matrix[rows]
    except OSError as error:
        raise DataError(f"{path}: layer {layer!r} is damaged ({error}); {REMEDY}") from error
    return values


def _provenance(file: h5py.File, path: str | Path) -> dict[str, Any]:
    try:
        provenance: dict[str, Any] = json.loads(file["uns"][PROVENANCE].asstr()[()])
    except (json.JSONDecodeError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: uns[{PROVENANCE!r}] is not JSON ({error}); {REMEDY}") from error
    return provenance


def write_embeddings(
    path: str | Path,
    cell_ids: Sequence[str],
    blocks: Iterable[Mapping[str, npt.NDArray[Any]]],
    provenance: Mapping[str, Any],
    refused: Mapping[int, str] | None = None,
) -> None:
    """Write an embeddings file.

    ``blocks`` are stretches of cells, each layer name to ``(n_cells_of_the_stretch, width)``, float32 or
    float16; those of a layer come first to last. ``refused`` is row to reason, of the cells without
    representation: their rows are NaN.
    """
    import pandas as pd
    from anndata.io import write_elem

    reasons = [(refused or {}).get(row, "") for row in range(len(cell_ids))]
    obs = pd.DataFrame({REFUSED: pd.Series(reasons, dtype=object)})
    obs.index = pd.Index(list(cell_ids), dtype=object)
    with whole(path) as scratch, h5py.File(scratch, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", obs)
        write_elem(file, "var", pd.DataFrame(index=pd.Index([], dtype=object)))
        text = json.dumps(provenance, indent=1, sort_keys=True, allow_nan=False)
        write_elem(file, "uns", {PROVENANCE: text})
        write_elem(file, "obsm", {})
        written: Counter[str] = Counter()
        for block in blocks:
            for layer, rows in block.items():
                name = f"obsm/{key(layer)}"
                matrix = file[name] if name in file else _room(file, name, len(cell_ids), rows)
                matrix[written[layer] : written[layer] + len(rows)] = rows
                written[layer] += len(rows)
        if set(written.values()) != {len(cell_ids)}:
            raise ValueError(f"{len(cell_ids)} cell ids for these rows of layers: {dict(written)}")


def _room(file: h5py.File, name: str, n_cells: int, rows: npt.NDArray[Any]) -> h5py.Dataset:
    """An empty layer like some rows of it, with a checksum per chunk."""
    width = rows.shape[1]
    chunks = (min(CHUNK_CELLS, n_cells), width)
    matrix = file.create_dataset(name, (n_cells, width), rows.dtype, chunks=chunks, fletcher32=True)
    matrix.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return matrix


def write_official(
    path: str | Path, cell_ids: Sequence[str], matrix: npt.NDArray[Any], provenance: Mapping[str, Any]
) -> None:
    """Write the embeddings file of a baseline, which has the layer ``official`` only; stored as float32."""
    reason = provenance.get(NOT_AVAILABLE)
    refused = dict.fromkeys(range(len(cell_ids)), reason) if reason else None
    write_embeddings(path, cell_ids, [{OFFICIAL: np.asarray(matrix, dtype=np.float32)}], provenance, refused)
