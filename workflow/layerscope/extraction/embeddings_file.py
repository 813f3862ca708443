"""The embeddings file: one model's representations of one set of cells, every layer of it.

It is an AnnData without ``X``, written and read here with h5py alone, since the steps that score a layer run
hundreds of times: ``obsm["layer_00"]`` ... ``obsm["official"]`` (cells x width), ``obs_names`` the cells in
the order of the file they came from, ``obs["refused"]`` why a cell has no representation (its rows are NaN),
and ``uns["layerscope"]`` the provenance as JSON. Each layer has the attribute ``crc32``, the checksum of its
bytes, so that a layer that a disk has changed is not taken for numbers. Nothing in it tells when or where it
was made: the same run gives the same bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from layerscope.errors import DataError
from layerscope.files import whole
from layerscope.tables import OFFICIAL

PROVENANCE = "layerscope"
REFUSED = "refused"
CHECKSUM = "crc32"
ROWS_AT_ONCE = 4096
AGAIN = "delete it and extract again"


@dataclass(frozen=True)
class Layer:
    """One layer of one model.

    Attributes
    ----------
    cell_ids
        Names of the cells.
    matrix
        float32, cells x width; NaN in the rows of refused cells.
    provenance
        How it was made.
    refused
        Per cell, why it has no representation; empty where it has.
    """

    cell_ids: list[str]
    matrix: npt.NDArray[np.float32]
    provenance: dict[str, Any]
    refused: list[str] = field(default_factory=list)


def key(layer: str) -> str:
    """The name in ``obsm`` of a layer: ``"official"``, or ``"layer_07"`` for ``"07"``."""
    return layer if layer == OFFICIAL else f"layer_{layer}"


def read_layer(path: str | Path, layer: str) -> Layer:
    """Read one layer of an embeddings file.

    Parameters
    ----------
    path
        The file.
    layer
        ``"00"``, ``"01"`` ... or ``"official"``.

    Raises
    ------
    DataError
        If the file is missing or no embeddings file, has no such layer, or its bytes were changed.
    """
    with _open(path) as file:
        if layer not in _layers(file):
            raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(_layers(file))}")
        stored = file["obsm"][key(layer)]
        cell_ids = file["obs"]["_index"].asstr()[()].tolist()
        if stored.ndim != 2 or len(stored) != len(cell_ids):
            raise DataError(
                f"{path}: layer {layer!r} has the shape {stored.shape}, expected a row for each of "
                f"{len(cell_ids)} cells; {AGAIN}"
            )
        matrix = stored[()]
        _demand_checksum(path, layer, stored, _crc(matrix))
        return Layer(
            cell_ids=cell_ids,
            matrix=matrix.astype(np.float32, copy=False),
            provenance=_provenance(file, path),
            refused=file["obs"][REFUSED].asstr()[()].tolist(),
        )


def read_cells(path: str | Path) -> tuple[list[str], list[str]]:
    """Names of the cells of an embeddings file, and per cell why it has no representation (empty if it has).

    Raises
    ------
    DataError
        If the file is missing or no embeddings file.
    """
    with _open(path) as file:
        return file["obs"]["_index"].asstr()[()].tolist(), file["obs"][REFUSED].asstr()[()].tolist()


def read_rows(path: str | Path, layer: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Some rows of a layer, float32, shape ``(len(rows), width)``; ``rows`` in increasing order.

    No other row is read. So the checksum, which is that of all rows, is not looked at.

    Raises
    ------
    DataError
        If the file is missing or no embeddings file, or has no such layer.
    """
    with _open(path) as file:
        if layer not in _layers(file):
            raise DataError(f"{path}: no layer {layer!r}; it has {', '.join(_layers(file))}")
        found: npt.NDArray[np.float32] = np.asarray(file["obsm"][key(layer)][rows], dtype=np.float32)
        return found


def windows(path: str | Path, layers: Sequence[str]) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Yield some rows of every layer at a time, as they are stored.

    Raises
    ------
    DataError
        If the file is missing or no embeddings file; after the last rows, if bytes of a layer were changed.
    """
    with _open(path) as file:
        stored = {layer: file["obsm"][key(layer)] for layer in layers}
        checksums = dict.fromkeys(layers, 0)
        for start in range(0, len(stored[layers[0]]), ROWS_AT_ONCE):
            rows = {layer: np.asarray(found[start : start + ROWS_AT_ONCE]) for layer, found in stored.items()}
            checksums = {layer: _crc(rows[layer], checksums[layer]) for layer in layers}
            yield rows
        for layer in layers:
            _demand_checksum(path, layer, stored[layer], checksums[layer])


def _crc(rows: npt.NDArray[Any], before: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).data, before)


def _checksum(stored: h5py.Dataset) -> int:
    checksum = 0
    for start in range(0, len(stored), ROWS_AT_ONCE):
        checksum = _crc(stored[start : start + ROWS_AT_ONCE], checksum)
    return checksum


def _demand_checksum(path: str | Path, layer: str, stored: h5py.Dataset, found: int) -> None:
    if CHECKSUM in stored.attrs and int(stored.attrs[CHECKSUM]) != found:
        raise DataError(f"{path}: layer {layer!r} is damaged: its bytes are not those written; {AGAIN}")


def read_layers(path: str | Path) -> list[str]:
    """Names of the layers that an embeddings file holds, in order.

    Raises
    ------
    DataError
        If the file is missing or no embeddings file.
    """
    with _open(path) as file:
        return _layers(file)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance of an embeddings file.

    Raises
    ------
    DataError
        If the file is missing or no embeddings file.
    """
    with _open(path) as file:
        return _provenance(file, path)


def _provenance(file: h5py.File, path: str | Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file["uns"][PROVENANCE].asstr()[()])
    except (json.JSONDecodeError, TypeError) as error:
        raise DataError(f"{path}: uns[{PROVENANCE!r}] is not JSON ({error}); {AGAIN}") from error
    return found


def _open(path: str | Path) -> h5py.File:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such embeddings file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a whole HDF5 file ({error}); {AGAIN}") from error
    if "obsm" not in file or PROVENANCE not in file.get("uns", {}):
        file.close()
        raise DataError(f"{path}: not an embeddings file: obsm or uns[{PROVENANCE!r}] is missing")
    missing = [name for name in ("_index", REFUSED) if name not in file.get("obs", {})]
    if missing:
        file.close()
        raise DataError(
            f"{path}: not an embeddings file: obs[{missing[0]!r}] is missing; name what extract_layers.py or "
            "compute_baseline.py wrote, and if this is it, extract again"
        )
    return file


def _layers(file: h5py.File) -> list[str]:
    return sorted(name.removeprefix("layer_") for name in file["obsm"])


def write_official(
    path: str | Path, cell_ids: Sequence[str], matrix: npt.NDArray[Any], provenance: Mapping[str, Any]
) -> None:
    """Write the embeddings file of a baseline, which has the layer ``official`` only.

    Parameters
    ----------
    path
        The file to make.
    cell_ids
        Names of the cells, in the order of the cells' file.
    matrix
        Cells x width; stored as float32.
    provenance
        How it was made; anything that JSON can hold.
    """
    if len(cell_ids) != len(matrix):
        raise ValueError(f"{len(cell_ids)} cell ids for a matrix of {len(matrix)} rows")
    with whole(path) as scratch, EmbeddingsWriter(scratch, len(cell_ids)) as writer:
        writer.add(OFFICIAL, matrix.shape[1])
        writer.fill(OFFICIAL, 0, matrix)
        writer.finish(cell_ids, {}, provenance)


class EmbeddingsWriter:
    """Writes an embeddings file layer by layer, any stretch of rows at a time.

    Parameters
    ----------
    path
        Where to; give a scratch path (:func:`layerscope.files.whole`).
    n_cells
        How many cells it holds.
    """

    def __init__(self, path: Path, n_cells: int) -> None:
        self._file = h5py.File(path, "w", track_order=False)
        self._n_cells = n_cells
        self._checksums: dict[str, tuple[int, int]] = {}
        _tag(self._file, "anndata", "0.1.0")
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            _tag(self._file.create_group(name), "dict", "0.1.0")

    def __enter__(self) -> EmbeddingsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, layer: str, width: int, dtype: npt.DTypeLike = np.float32) -> None:
        """Make room for a layer, cells x ``width``; every row of it is to be filled."""
        self._checksums[layer] = (0, 0)
        dataset = self._file["obsm"].create_dataset(
            key(layer), (self._n_cells, width), dtype, fill_time="never"
        )
        _tag(dataset, "array", "0.2.0")

    def fill(self, layer: str, start: int, matrix: npt.NDArray[Any]) -> None:
        """Write the rows of a layer from ``start`` on; fastest in their order."""
        stored = self._file["obsm"][key(layer)]
        n_written, checksum = self._checksums[layer]
        rows = np.ascontiguousarray(matrix, dtype=stored.dtype)
        stored[start : start + len(rows)] = rows
        in_order = start == n_written
        self._checksums[layer] = (n_written + len(rows), _crc(rows, checksum)) if in_order else (-1, 0)

    def finish(
        self, cell_ids: Iterable[str], refused: Mapping[int, str], provenance: Mapping[str, Any]
    ) -> None:
        """Write what is not a layer, and the layers' checksums.

        Parameters
        ----------
        cell_ids
            Names of the cells; taken a block at a time.
        refused
            Row to reason, of the cells that have no representation.
        provenance
            How the layers were made; anything that JSON can hold.
        """
        for layer, (n_written, checksum) in self._checksums.items():
            stored = self._file["obsm"][key(layer)]
            if n_written != len(stored):
                checksum = _checksum(stored)
            stored.attrs[CHECKSUM] = np.uint32(checksum)
        reasons = (refused.get(row, "") for row in range(self._n_cells))
        _table(self._file.create_group("obs"), self._n_cells, {"_index": cell_ids, REFUSED: reasons})
        _table(self._file.create_group("var"), 0, {"_index": []})
        text = json.dumps(provenance, indent=1, sort_keys=True, allow_nan=False)
        stored = self._file["uns"].create_dataset(PROVENANCE, data=text, dtype=h5py.string_dtype())
        _tag(stored, "string", "0.2.0")


def _tag(stored: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    """Name the AnnData encoding of an element."""
    stored.attrs["encoding-type"] = kind
    stored.attrs["encoding-version"] = version


def _table(group: h5py.Group, n_rows: int, columns: Mapping[str, Iterable[str]]) -> None:
    """Write an AnnData data frame of text columns, block by block; ``_index`` is its index."""
    _tag(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    names = [name for name in columns if name != "_index"]
    group.attrs.create("column-order", names, shape=(len(names),), dtype=h5py.string_dtype())
    for name, values in columns.items():
        stored = group.create_dataset(name, (n_rows,), h5py.string_dtype())
        _tag(stored, "string-array", "0.2.0")
        texts = iter(values)
        for start in range(0, n_rows, ROWS_AT_ONCE):
            block = list(islice(texts, ROWS_AT_ONCE))
            stored[start : start + len(block)] = np.array(block, dtype=object)
