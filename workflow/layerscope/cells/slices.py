"""The chosen cells of a remote h5ad file, and no others: its tables first, then only their rows.

The slice has the layout of the file that it is cut from, so the same reader reads both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.h5ad_file import read_column, read_index, read_table
from layerscope.cells.matrix import append_rows
from layerscope.cells.readers import cd4_perturbseq, h5ad
from layerscope.cells.readers.source import SourceCells, kept_by
from layerscope.cells.remote_rows import DamagedError, RemoteRows, readable
from layerscope.cells.selection import choose
from layerscope.cells.settings import CellSettings
from layerscope.cells.slice_record import write_record
from layerscope.errors import ConfigError, DataError, SourceError
from layerscope.files import whole
from layerscope.sources.addresses import Address, Mirror, address
from layerscope.sources.disk import said_plainly
from layerscope.sources.hdf5_ranges import open_hdf5
from layerscope.sources.manifest import read_manifest, sha256, write_manifest
from layerscope.sources.progress import size
from layerscope.sources.remote_file import RemoteFile
from layerscope.sources.transport import Patience
from layerscope.tables import write_table

LOG = logging.getLogger(__name__)
READERS: dict[str, Callable[[h5py.File, str, CellSettings], SourceCells]] = {
    "h5ad": h5ad.read_open,
    "cd4_perturbseq": cd4_perturbseq.read_open,
}
CHOICE_COLUMNS = (
    "perturbation",
    "is_control",
    "guides",
    "batches",
    "cells_in_file",
    "cells_passing",
    "cells_chosen",
    "seed",
)


def slice_cells(
    settings: Mapping[str, Any],
    output: str | Path,
    choice: str | Path,
    mirror: Mirror = None,
    patience: Patience | None = None,
) -> None:
    """Cut the chosen cells out of a remote h5ad file.

    What has come is kept under a hidden name beside ``output`` until the slice is whole, so that a run after
    a break, or a kill, goes on from there.

    Parameters
    ----------
    settings
        ``url`` (``s3://``, ``https://``), ``kind`` (``h5ad`` or ``cd4_perturbseq``), and what the reader of
        that kind needs; ``selection`` says which cells.
    output
        The slice (.h5ad); its manifest lies beside it.
    choice
        Table of the choice: per perturbation the guides, batches, and cells in the file, passing, chosen.
    mirror, patience
        See :func:`layerscope.sources.fetch.fetch`.

    Raises
    ------
    ConfigError, DataError, SourceError
        If the settings do not fit the file, or the file cannot be had.
    """
    found = dict(settings)
    source = address({"url": found.pop("url", "")}, mirror or found.pop("mirror", None))
    chosen = CellSettings.read({key: value for key, value in found.items() if key != "mirror"}, "slice")
    if chosen.kind not in READERS:
        raise ConfigError(f"slice: kind {chosen.kind!r} cannot be sliced; {' and '.join(READERS)} can")
    output = Path(output)
    if _already_there(output, Path(choice), source, chosen):
        LOG.info("%s: already there", output.name)
        return
    store = output.with_name(f".download.{output.name}")
    with said_plainly(output):
        for second in (False, True):
            with RemoteFile(source.fetched_from, store, patience=patience) as remote:
                try:
                    with _survived(remote):
                        cut = Slice(remote, source, chosen)
                    cut.write(output, Path(choice))
                except DamagedError as error:
                    remote.store.remove()
                    if second:
                        raise SourceError(f"{error}; and again when everything was fetched anew") from error
                    LOG.warning("%s; fetching everything anew", error)
                else:
                    remote.store.remove()
                    return


def _already_there(output: Path, choice: Path, source: Address, settings: CellSettings) -> bool:
    if not output.is_file() or not choice.is_file():
        return False
    known = read_manifest(output)
    same = known.get("url") == source.url and known.get("settings") == _as_json(settings)
    return same and known.get("sha256") == sha256(output)


@contextmanager
def _survived(remote: RemoteFile) -> Iterator[None]:
    """Do not stumble twice over the same bytes while tables are read.

    Wrong bytes can bring the HDF5 library, and with it the process, down. A mark tells with how many stored
    bytes the tables were last begun and not ended; if those are all that is stored now, they are not trusted.
    """
    mark = remote.store.path.with_name(f"{remote.store.path.name}.reading")
    stored = str(remote.store.stored)
    if mark.is_file() and mark.read_text(encoding="ascii") == stored != "0":
        LOG.warning(
            "%s: the last two runs ended while reading its tables; fetching everything anew", remote.url
        )
        remote.store.forget(np.array([[0, remote.size]]))
    mark.write_text(stored, encoding="ascii")
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


class Slice:
    """The chosen cells of one remote file.

    Parameters
    ----------
    remote
        The file.
    source
        Its address.
    settings
        How it is read, and which cells are chosen.
    """

    def __init__(self, remote: RemoteFile, source: Address, settings: CellSettings) -> None:
        self._remote, self._source, self._settings = remote, source, settings
        LOG.info("%s: %s; reading its tables", source.name, size(remote.size))
        with readable(source.fetched_from):
            self._stored = open_hdf5(remote)
            self._demand_rows(settings.matrix)
            self._cells = READERS[settings.kind](self._stored, source.name, settings)
        for message in self._cells.absent.values():
            raise DataError(message)
        self._passing = kept_by(self._cells.left_out, len(self._cells.obs))
        self.rows = self._choose()
        whole_numbers = settings.values == "counts"  # noqa: PD011
        self._matrix = RemoteRows(remote, self._cells.matrix_name, whole_numbers)

    def _demand_rows(self, matrix: str | None) -> None:
        stored = self._stored.get({"raw": "raw/X"}.get(matrix or "X", matrix or "X"))
        kind = stored.attrs.get("encoding-type", "") if stored is not None else ""
        if kind == "csc_matrix":
            raise SourceError(
                f"{self._source.name}: its matrix is stored by columns (CSC), so rows cannot be fetched "
                "alone. Fetch the whole file and set a local `path`"
            )

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
        if self._settings.recover_counts is not None:
            raise ConfigError("slice: counts cannot be recovered while slicing; drop `recover_counts` here")
        LOG.info(
            "%s: fetching %s cells of %s", self._source.name, f"{len(self.rows):,}", f"{len(self._passing):,}"
        )
        n_bytes_of_rows = self._matrix.fetch(self.rows)
        with whole(output) as scratch, whole(choice) as table:
            with h5py.File(scratch, "w") as made:
                self._write_matrix(made)
                self._write_tables(made)
            write_table(table, self.table())
        received = self._remote.transport.bytes_received
        moved = received + self._remote.store.resumed
        share = moved / self._remote.size
        LOG.info("%s: %s moved, %.2g%% of the file", self._source.name, size(moved), 100 * share)
        write_manifest(
            output,
            self._source.url,
            etag=self._remote.version.etag,
            last_modified=self._remote.version.modified,
            n_bytes_of_file=self._remote.size,
            n_bytes_of_rows=n_bytes_of_rows,
            n_bytes_moved=moved,
            n_bytes_of_earlier_runs=self._remote.store.resumed,
            n_requests=self._remote.transport.requests,
            share_moved=round(share, 6),
            settings=_as_json(self._settings),
        )

    def _write_matrix(self, made: h5py.File) -> None:
        made.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for block in self._matrix.blocks(self.rows):
            append_rows(made, self._cells.matrix_name, block)

    def _write_tables(self, made: h5py.File) -> None:
        from anndata.io import write_elem

        stored = self._stored
        names = [name for name in self._cells.used_columns if not name.startswith(h5ad.MEMBERSHIP)]
        obs = pd.DataFrame({name: _of_rows(read_column(stored["obs"], name), self.rows) for name in names})
        obs.index = pd.Index(np.array(read_index(stored["obs"]), dtype=object)[self.rows])
        write_elem(made, "obs", obs)
        write_elem(made, "var", _with_index(read_table(stored["var"])))
        if self._cells.matrix_name == "raw/X":
            write_elem(made, "raw/var", _with_index(read_table(stored["raw/var"])))
        write_elem(made, "uns", {})
        write_record(made["uns"], self._record())

    def _record(self) -> dict[str, Any]:
        steps, kept = [], np.ones(len(self._cells.obs), dtype=bool)
        named = [*self._cells.left_out, ("selection", _said(self._settings), self._mask())]
        for name, threshold, keep in named:
            before = int(kept.sum())
            kept &= keep
            cells = {"cells_before": before, "cells_after": int(kept.sum())}
            genes = dict.fromkeys(("genes_before", "genes_after"), self._cells.matrix.shape[1])
            step = {"step": "slice", "filter": name, "threshold": threshold, "group": "all"}
            steps.append({**step, **cells, **genes})
        return {
            "name": self._source.name,
            "url": self._source.url,
            "etag": self._remote.version.etag,
            "n_bytes": self._remote.size,
            "n_cells": len(self._cells.obs),
            "selection": _said(self._settings),
            "before": steps,
        }

    def _mask(self) -> np.ndarray:
        mask = np.zeros(len(self._cells.obs), dtype=bool)
        mask[self.rows] = True
        return mask

    def table(self) -> pd.DataFrame:
        """The choice: one row per perturbation, those with most chosen cells first."""
        obs = self._cells.obs
        if "perturbation" not in obs or "is_control" not in obs:
            return pd.DataFrame(columns=list(CHOICE_COLUMNS))
        known = obs.assign(passing=self._passing, chosen=self._mask())[obs["perturbation"] != ""]
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


def _as_json(settings: CellSettings) -> Any:
    return json.loads(json.dumps(asdict(settings)))


def _said(settings: CellSettings) -> str:
    chosen = settings.selection
    return ", ".join(f"{key} {value}" for key, value in vars(chosen).items() if value is not None)


def _of_rows(column: pd.Series, rows: np.ndarray) -> pd.Series:
    part = column.iloc[rows].reset_index(drop=True)
    return part.cat.remove_unused_categories() if isinstance(part.dtype, pd.CategoricalDtype) else part


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    table.index.name = None
    return table
