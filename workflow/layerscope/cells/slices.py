"""The chosen cells of a remote h5ad file, and no others: its tables first, then only their rows.

The slice has the layout of the file that it is cut from, so the same reader reads both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.damage import OWNERS_SUMS, RowChecks
from layerscope.cells.h5ad_file import (
    DamagedDataError,
    DamagedRowsError,
    column_names,
    read_column,
    read_table,
    row_names,
)
from layerscope.cells.matrix import StoredRows, append_rows, stored_shape
from layerscope.cells.quality import Summary
from layerscope.cells.readers import cd4_perturbseq, h5ad
from layerscope.cells.readers.source import SourceCells, passing
from layerscope.cells.selection import choose
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError, SourceError
from layerscope.files import whole
from layerscope.sources.addresses import Address, address
from layerscope.sources.archives import DamagedError
from layerscope.sources.hdf5_ranges import fetch_values, hold_chunks, open_hdf5, row_ranges
from layerscope.sources.manifest import read_manifest, sha256, write_manifest
from layerscope.sources.remote_file import RemoteFile
from layerscope.sources.transport import ATTEMPTS, FIRST_WAIT, Retries
from layerscope.tables import write_table

LOG = logging.getLogger(__name__)
ROWS_AT_ONCE = 512
ROWS, STARTS = ("data", "indices"), "indptr"  # of a sparse matrix
DAMAGE = (DamagedDataError, OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError)
READERS: dict[str, Callable[[h5py.File, str, CellSettings], SourceCells]] = {
    "h5ad": h5ad.read_open,
    "cd4_perturbseq": cd4_perturbseq.read_open,
}
COLUMNS: dict[str, tuple[str, ...]] = {"h5ad": (), "cd4_perturbseq": cd4_perturbseq.COLUMNS_READ}
CHOICE_COLUMNS = (
    *("perturbation", "is_control", "guides", "batches"),
    *("cells_in_file", "cells_passing", "cells_chosen", "seed"),
)


def slice_cells(
    settings: Mapping[str, Any],
    output: str | Path,
    choice: str | Path,
    mirror: str | None = None,
    attempts: int = ATTEMPTS,
    wait: float = FIRST_WAIT,
) -> None:
    """Cut the chosen cells out of a remote h5ad file.

    What has been fetched stays in a hidden folder beside ``output`` until the slice is whole: after an
    interruption the next run goes on from there.

    Parameters
    ----------
    settings
        ``url`` (``s3://``, ``https://``), ``kind`` (``h5ad`` or ``cd4_perturbseq``), and what the reader of
        that kind needs; ``selection`` says which cells.
    output
        The slice (.h5ad); its manifest lies beside it.
    choice
        Table of the choice: per perturbation the guides, batches, and cells in the file, passing, chosen.
    mirror, attempts, wait
        See :func:`layerscope.sources.fetch.fetch`.
    """
    reading = {key: value for key, value in settings.items() if key not in ("url", "mirror")}
    source = address({"url": settings.get("url", "")}, mirror or settings.get("mirror"))
    cell_settings = CellSettings.read(reading, "slice")
    if cell_settings.kind not in READERS:
        raise ConfigError(f"slice: kind {cell_settings.kind!r} cannot be sliced; {' and '.join(READERS)} can")
    if cell_settings.recover_counts is not None:
        raise ConfigError("slice: counts cannot be recovered while slicing; drop `recover_counts` here")
    output, choice = Path(output), Path(choice)
    if _already_there(output, choice, source, cell_settings):
        LOG.info("%s: already there", output.name)
        return
    folder = output.with_name(f".download.{output.name}")
    with RemoteFile(source.fetched_from, folder, Retries(attempts, wait)) as remote:
        try:
            Slice(remote, source, cell_settings).write(output, choice)
        except DamagedError:
            remote.parts.remove()
            raise
        except OSError as error:
            error.filename = error.filename or str(output)  # a full disk, say, for the message
            raise
        remote.parts.remove()


@contextmanager
def _damage_named(url: str) -> Iterator[None]:
    """Raise :class:`DamagedError` where HDF5, or what interprets it, finds something that cannot be."""
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(
            f"{url}: the file is damaged, or wrong bytes came ({type(error).__name__}: {error}). "
            "Run again: everything is fetched anew. If this comes again, leave the cells out (`subset`, "
            "`exclude`) or use another copy"
        ) from error


def _open_matrix(file: h5py.File, matrix_name: str) -> list[h5py.Dataset]:
    """The arrays of a matrix as settings name it, if there is one; SourceError if it is stored by columns."""
    name = "raw/X" if matrix_name == "raw" else matrix_name
    matrix = file.get(name)
    if matrix is None:
        return []
    if isinstance(matrix, h5py.Dataset):
        return [hold_chunks(file, name)]
    if matrix.attrs.get("encoding-type", "") == "csc_matrix":
        raise SourceError(
            f"{matrix_name}: the matrix is stored by columns (CSC), so rows cannot be fetched alone. "
            "Fetch the whole file and set a local `path`"
        )
    return [hold_chunks(file, f"{name}/{array}") for array in (*ROWS, STARTS) if array in matrix]


def _columns(table: Any, names: Iterable[str] | None = None) -> list[h5py.Dataset]:
    """What a table of a file stores of its index and its columns, or of some of them."""
    if not isinstance(table, h5py.Group):
        return []
    names = table if names is None else {*names, table.attrs.get("_index", "_index")}
    columns = [table[name] for name in names if name in table]
    parts = [[*column.values()] if isinstance(column, h5py.Group) else [column] for column in columns]
    return [part for column in parts for part in column if isinstance(part, h5py.Dataset)]


def _already_there(output: Path, choice: Path, source: Address, settings: CellSettings) -> bool:
    manifest = read_manifest(output) if output.is_file() and choice.is_file() else {}
    same = (manifest.get("url"), manifest.get("settings")) == (source.url, settings.model_dump(mode="json"))
    return same and manifest.get("sha256") == sha256(output)


class Slice:
    """The chosen cells of one remote file at an address, read and chosen as the settings say."""

    def __init__(self, remote: RemoteFile, source: Address, settings: CellSettings) -> None:
        self._remote, self._source, self._settings = remote, source, settings
        LOG.info("%s: %.3g GB; reading its tables", source.name, remote.size / 1e9)
        with _damage_named(source.fetched_from):
            self._file = open_hdf5(remote)
            self._arrays = _open_matrix(self._file, settings.matrix or "X")  # held open
            starts = [array for array in self._arrays if array.name.endswith(STARTS)]
            columns = {*filter(None, settings.columns.values()), *settings.subset, *settings.exclude}
            columns |= {*OWNERS_SUMS, *COLUMNS[settings.kind]}
            tables = _columns(self._file.get("obs"), columns) + _columns(self._file.get("var"))
            fetch_values(remote, tables + starts, "tables")
            self._cells = READERS[settings.kind](self._file, source.name, settings)
            stored = self._file[self._cells.matrix_name]
            self._matrix = StoredRows(stored, stored_shape(stored), read_over=0)
        for message in self._cells.absent.values():
            raise DataError(message)
        self._passing = passing(self._cells.left_out, len(self._cells.obs))
        self.rows = self._choose()
        self._chosen = np.zeros(len(self._cells.obs), dtype=bool)
        self._chosen[self.rows] = True

    def _choose(self) -> np.ndarray:
        if not self._passing.any():
            raise DataError(f"{self._source.name}: no cell passes the flags and the subset")
        passing: np.ndarray = np.flatnonzero(self._passing)
        obs = self._cells.obs
        if "perturbation" not in obs or "is_control" not in obs:
            return passing
        chosen = choose(obs.iloc[passing], self._settings.selection, self._source.name)
        rows: np.ndarray = passing[chosen]
        return rows

    def write(self, output: Path, choice: Path) -> None:
        """Fetch the rows and write the slice, the table of the choice, and the manifest."""
        n_bytes_of_rows = self._fetch_rows()
        with whole(output) as scratch, whole(choice) as table:
            with h5py.File(scratch, "w") as made:
                self._write_matrix(made)
                self._write_tables(made)
            write_table(table, self.table())
        moved = self._remote.n_bytes_received + self._remote.n_bytes_of_earlier_runs
        share = 100 * moved / self._remote.size
        LOG.info("%s: %.3g GB moved, %.2g%% of the file", self._source.name, moved / 1e9, share)
        write_manifest(
            output,
            self._source.url,
            etag=self._remote.version.etag,
            last_modified=self._remote.version.modified,
            n_bytes_of_file=self._remote.size,
            n_bytes_of_rows=n_bytes_of_rows,
            n_bytes_moved=moved,
            n_bytes_of_earlier_runs=self._remote.n_bytes_of_earlier_runs,
            settings=self._settings.model_dump(mode="json"),
        )

    def _fetch_rows(self) -> int:
        """Fetch the rows that are not here yet; returns the bytes of them, or of their chunks."""
        with _damage_named(self._remote.url):
            spans = self._matrix.spans(self.rows)
            ranges = np.concatenate([row_ranges(*span, self._remote) for span in spans])
            if ranges.size and not 0 <= ranges.min() <= ranges.max() <= self._remote.size:
                raise ValueError("rows that lie beyond the end of the file")
        self._remote.fetch(ranges, f"{len(self.rows):,} of {len(self._passing):,} cells")
        return int((ranges[:, 1] - ranges[:, 0]).sum())

    def _write_matrix(self, made: h5py.File) -> None:
        made.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        total, n_genes = (self._numbers(column) for column in OWNERS_SUMS)
        checks = RowChecks(total, n_genes, self._settings.values == "counts")  # noqa: PD011
        damaged: list[DamagedRowsError] = []
        for start in range(0, len(self.rows), ROWS_AT_ONCE):
            rows = self.rows[start : start + ROWS_AT_ONCE]
            with _damage_named(self._remote.url):
                try:
                    block = self._matrix.read(rows)
                except DamagedRowsError as error:
                    damaged.append(error)  # to name the rows of all blocks
                    continue
                checks.look(rows, block)
            append_rows(made, self._cells.matrix_name, block.astype(np.float32))
        with _damage_named(self._remote.url):
            if damaged:
                rows = np.concatenate([error.rows for error in damaged])
                others = f"; with later cells, {row_names(rows)}" if len(damaged) > 1 else ""
                raise DamagedRowsError(f"{damaged[0]}{others}", rows)
            checks.demand(self._cells.where)

    def _numbers(self, column: str) -> np.ndarray:
        """Numbers in a column of the file's cells; NaN where there are none."""
        obs = self._file["obs"]
        values = read_column(obs, column) if column in column_names(obs) else pd.Series(dtype=object)
        if not pd.api.types.is_numeric_dtype(values):
            return np.full(len(self._cells.obs), np.nan)
        numbers: np.ndarray = values.to_numpy(dtype=np.float64)
        return numbers

    def _write_tables(self, made: h5py.File) -> None:
        from anndata.io import write_elem

        file = self._file
        names = [name for name in self._cells.used_columns if not name.startswith(h5ad.MEMBERSHIP)]
        obs = read_table(file["obs"], names).iloc[self.rows]
        used = {name: obs[name].cat.remove_unused_categories() for name in obs.select_dtypes("category")}
        write_elem(made, "obs", obs.assign(**used))
        write_elem(made, "var", read_table(file["var"]))
        if self._cells.matrix_name == "raw/X":
            write_elem(made, "raw/var", read_table(file["raw/var"]))
        record = json.dumps(self._record(), sort_keys=True, ensure_ascii=False)
        write_elem(made, "uns", {h5ad.SLICE_RECORD: record})

    def _record(self) -> dict[str, Any]:
        """What the slice says about the file that it is cut from; see :func:`h5ad.read_record`."""
        selection = self._settings.selection.text()
        summary = Summary(pd.DataFrame(index=self._cells.obs.index), self._cells.matrix.shape[1])
        for step in [*self._cells.left_out, ("selection", selection, self._chosen)]:
            summary.filter_cells("slice", *step)
        return {
            "name": self._source.name,
            "url": self._source.url,
            "etag": self._remote.version.etag,
            "n_bytes": self._remote.size,
            "n_cells": len(self._cells.obs),
            "selection": selection,
            "before": summary.rows,
        }

    def table(self) -> pd.DataFrame:
        """The choice: one row per perturbation, those with most chosen cells first."""
        obs = self._cells.obs
        if "perturbation" not in obs or "is_control" not in obs:
            return pd.DataFrame(columns=list(CHOICE_COLUMNS))
        known = obs.assign(passing=self._passing, chosen=self._chosen)[obs["perturbation"] != ""]
        groups = known.groupby(["perturbation", "is_control"], observed=True, sort=True)
        table = groups.agg(
            cells_in_file=("passing", "size"),
            cells_passing=("passing", "sum"),
            cells_chosen=("chosen", "sum"),
        )
        chosen = known[known["chosen"]].groupby(["perturbation", "is_control"], observed=True)
        for name, column in (("guides", "guide"), ("batches", "batch")):
            table[name] = chosen[column].nunique() if column in known else 0
        table = table.fillna(0).astype(int).reset_index()
        table["seed"] = self._settings.selection.seed
        order = ["is_control", "cells_chosen", "cells_passing", "perturbation"]
        return table.sort_values(order, ascending=[False, False, False, True])[list(CHOICE_COLUMNS)]
