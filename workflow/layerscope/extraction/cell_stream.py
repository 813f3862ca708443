"""Cells of an h5ad file as a model wants them: block by block, over the model's own vocabulary."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from layerscope.cells.canonical import PROVENANCE, as_text, provenance_in
from layerscope.cells.filters import open_compressed
from layerscope.cells.fingerprint import Fingerprint
from layerscope.cells.gene_table import are_genes, feature_types
from layerscope.cells.genes import identify, organism
from layerscope.cells.guard import ACCEPTED, SAMPLE, StreamGuard, admit, admit_unlogged, judge, words
from layerscope.cells.guard import UNLOGGED as UNLOGGED_KINDS
from layerscope.cells.h5ad_file import (
    RowNames,
    column_names,
    read_column,
    read_index,
    readable_table,
)
from layerscope.cells.labels import among
from layerscope.cells.matrix import ChosenColumns, RowMatrix, sample_rows, stored_rows
from layerscope.cells.which_matrix import choose_counts, judge_all, matrices, matrix_key
from layerscope.errors import ConfigError, DataError, LayerscopeError
from layerscope.models.base import CellBlock, FoundationModel
from layerscope.models.ragged import offsets_of
from layerscope.models.vocabulary import VAR_NAMES, match_genes

log = logging.getLogger(__name__)

CELLS_AT_ONCE = 256  # more would be worked on outside a processor's caches, which takes twice as long
UNCHECKED = "any"
UNLOGGED = "counts, whole or not"
WANTED = {"counts": "raw counts", "log_normalised": "logarithms of normalised counts"}


class CellStream:
    """Cells of a file, matched with a model's vocabulary and read a stretch of rows at a time.

    ``matrix`` is ``X``, ``raw`` or ``layers/NAME``, ``values`` what it holds where the file does not say, and
    ``gene_column`` the column of ``var`` (or ``var_names``) with the gene names, if not to be found out.
    """

    def __init__(
        self,
        path: Path,
        model: FoundationModel,
        *,
        matrix: str = "X",
        values: str = "",
        gene_column: str = "",
    ) -> None:
        self.path, self._model = path, model
        self.change: Callable[[CellBlock], CellBlock] | None = None  # a control's, before the model sees it
        self._file = open_compressed(path)
        try:
            self._look(matrix, values, gene_column)
        except LayerscopeError:
            self.close()
            raise

    def _look(self, matrix: str, values: str, gene_column: str) -> None:
        """Find what is needed in the file, which is open."""
        self._name = self._matrix(matrix)
        var_name = self._name.replace("X", "var") if matrix == "raw" else "var"
        for name in ("obs", var_name):
            if name not in self._file:
                parts = ", ".join(self._file) or "nothing"
                raise DataError(f"{self.path}: not a whole h5ad file: it has no {name!r}, but {parts}")
        self._rows: RowMatrix = stored_rows(self._file[self._name])
        if self._rows.dtype.kind not in "biuf":
            raise DataError(f"{self.path}: {self._name}: holds {self._rows.dtype}, no numbers")
        if 0 in self._rows.shape:
            n_cells, n_genes = self._rows.shape
            raise DataError(f"{self.path}: {self._name}: nothing to run: {n_cells} cells x {n_genes} genes")
        self.cell_ids = RowNames(self._file["obs"])  # read when asked for, while the file is open
        self._demand_names(len(self.cell_ids), len(read_index(self._file[var_name])))
        _demand_unique(self.path, self.cell_ids)
        self.provenance = provenance_in(self._file)
        names, vocabulary = self._genes_alone(_gene_names(self._file[var_name])), self._model.vocabulary
        self.match = match_genes(vocabulary, names, path=str(self.path), column=gene_column or None)
        self.values = self._checked_values(values)
        self._guard = StreamGuard(f"{self.path}: {self._name}", self.values, self.cell_ids, names[VAR_NAMES])
        self._obs = {name: self._obs_column(name) for name in (*self._model.obs_columns, *self._optional())}

    def _genes_alone(self, names: dict[str, list[str]]) -> dict[str, list[str]]:
        """Leave out features of other types than genes, where a column of ``var`` tells them apart."""
        types = feature_types(pd.DataFrame(names).drop(columns=VAR_NAMES))
        genes, others = (None, "") if types is None else are_genes(types, str(self.path))
        if genes is None or not others:
            return names
        log.warning("%s: %s", self.path, others)
        self._rows = ChosenColumns(self._rows, np.flatnonzero(genes))
        return {column: np.array(values, dtype=object)[genes].tolist() for column, values in names.items()}

    def __len__(self) -> int:
        return len(self.cell_ids)

    def share_known(self) -> float:
        """Share of the counts of a sample of cells that are of genes that the model knows; 1 if none."""
        known, total = 0.0, 0.0
        for _, block in self._rows.blocks(sample_rows(len(self), SAMPLE)):
            values = np.maximum(np.nan_to_num(block.data.astype(np.float64), posinf=0.0), 0.0)
            total += values.sum()
            known += values[self.match.index[block.indices] >= 0].sum()
        return float(known / total) if total else 1.0

    def _matrix(self, matrix: str) -> str:
        """The name in the file of the matrix that was asked for."""
        names = {matrix_key(name): name for name in matrices(self._file)}
        if matrix not in names:
            raise DataError(
                f"{self.path}: no matrix {matrix!r}; {among(matrix, names)}. Choose with --set matrix=NAME"
            )
        return names[matrix]

    def _demand_names(self, n_cells: int, n_genes: int) -> None:
        n_rows, n_columns = self._rows.shape
        if (n_rows, n_columns) != (n_cells, n_genes):
            raise DataError(
                f"{self.path}: damaged: {self._name} is {n_rows} x {n_columns}, but there are names of "
                f"{n_cells} cells and {n_genes} genes"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def blocks(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], CellBlock]]:
        """Yield ``rows`` (ascending) part by part: row numbers, and their cells over the model's vocabulary.

        A DataError at a value that is negative, not finite, or not what the file is said to hold.
        """
        for part, block in self._rows.blocks(rows):
            self._guard.check(part, block)
            for start in range(0, len(part), CELLS_AT_ONCE):
                few = slice(start, start + CELLS_AT_ONCE)
                cells = self._over_vocabulary(part[few], block[few])
                yield part[few], cells if self.change is None else self.change(cells)

    def _over_vocabulary(self, rows: npt.NDArray[np.int64], block: sparse.csr_matrix) -> CellBlock:
        """Cells over the model's vocabulary: columns of one gene are summed."""
        genes = self.match.index[block.indices]
        known = (genes >= 0) & (block.data != 0)
        cells = np.repeat(np.arange(len(rows)), np.diff(block.indptr))
        values = block.data.astype(np.float64)
        matrix = sparse.csr_matrix(
            (values[known], genes[known], offsets_of(known)[block.indptr]),
            (len(rows), len(self._model.vocabulary.genes)),
        )
        matrix.sum_duplicates()
        names = list(self.cell_ids[int(rows[0]) : int(rows[-1]) + 1])
        return CellBlock(
            cell_ids=[names[place] for place in rows - rows[0]],
            offsets=matrix.indptr.astype(np.int64),
            genes=matrix.indices.astype(np.int64),
            values=matrix.data,
            totals=np.bincount(cells, weights=values, minlength=len(rows)).astype(np.float64),
            gene_columns=self.match.gene_columns,
            n_columns=self.match.n_columns,
            obs={name: np.asarray(column[rows]) for name, column in self._obs.items()},
            log_normalised=self.values == "log_normalised",
        )

    def _checked_values(self, values: str) -> str:
        """What the values are, by the file's or the user's word and by a look at a sample of them."""
        accepted = tuple(ACCEPTED) if self._model.rank_based else self._model.accepts
        source = f"--set values={values}" if values else f"uns[{PROVENANCE!r}]"
        values = values or str(self.provenance.get("values", ""))
        values = values or ("counts" if "counts" in accepted else accepted[0])
        if values not in accepted:
            raise ConfigError(
                f"{self.path}: the values are {values!r} by {source}, but {self._model.family} as set up "
                f"takes {' or '.join(accepted)}"
            )
        if self._model.rank_based:
            return UNCHECKED
        seen = judge(self._rows, np.arange(len(self.cell_ids)))
        unlogged = values == "counts" and self._model.takes_fractions
        if seen.kind not in ("empty", *(UNLOGGED_KINDS if unlogged else ACCEPTED[values])):
            needed = "counts or values in proportion to them" if unlogged else WANTED[values]
            raise DataError(
                f"{self.path}: {self._name}: {self._model.family} needs {needed} here, but this looks like "
                f"{words(seen)}: {seen.seen()}. {self._remedy(seen)}"
            )
        if seen.kind != "empty":
            where = f"{self.path}: {self._name}"
            said = admit_unlogged(seen, where) if unlogged else admit(seen, values, where)
            log.info("values: %s", said)
        return UNLOGGED if unlogged else values

    def _remedy(self, seen: Fingerprint) -> str:
        """Options that say where fitting values are, or what these are."""
        rows = np.arange(len(self.cell_ids))
        counts = choose_counts(self._file, judge_all(self._file, rows), rows, self._name)
        if counts.name:
            option = f"--set matrix={matrix_key(counts.name)} values=counts"
            return f"{counts.name} holds whole numbers: {option}{counts.words}"
        if counts.words:
            return f"{counts.words}: name the raw counts, --set matrix=NAME values=counts"
        for values in self._model.accepts:
            if seen.kind in ACCEPTED[values]:
                return f"If that is right, --set values={values}"
        if seen.kind == "counts":
            return "Leave out what asks for other values than these counts (--set)"
        return "Find the raw counts, or recover them with prepare_cells.py"

    def _optional(self) -> list[str]:
        """The optional columns of ``obs`` that are there."""
        present = column_names(self._file["obs"])
        for name, instead in self._model.optional_obs_columns.items():
            if name not in present and instead:
                log.warning("%s has no obs[%r]: the model takes %s", self.path, name, instead)
        return [name for name in self._model.optional_obs_columns if name in present]

    def _obs_column(self, name: str) -> npt.NDArray[Any] | pd.Categorical:
        """A column of numbers as it is, of text as one small number per cell."""
        obs = self._file["obs"]
        if name not in column_names(obs):
            raise DataError(f"{self.path}: the model needs obs[{name!r}]; {among(name, column_names(obs))}")
        column = read_column(obs, name)
        if pd.api.types.is_numeric_dtype(column.dtype):
            return np.asarray(column)
        return pd.Categorical(as_text(column))


def organism_of(path: Path) -> str:
    """Species of a file of cells by the names of its genes: ``human``, ``mouse`` or ``unknown``."""
    with closing(open_compressed(path)) as file:
        if "var" not in file:
            return "unknown"
        table, _ = readable_table(file["var"])
        return organism(identify(read_index(file["var"]), table, {}, str(path)))


def _gene_names(var: h5py.Group | h5py.Dataset) -> dict[str, list[str]]:
    """``var_names`` and the text columns of ``var`` that can be read."""
    names = {VAR_NAMES: read_index(var)}
    table, unreadable = readable_table(var)
    for reason in unreadable.values():
        log.warning("a column of var is left out: %s", reason)
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name].dtype):
            names[str(name)] = as_text(table[name]).tolist()
    return names


def _demand_unique(path: Path, cell_ids: Sequence[str]) -> None:
    """Look for repeats among eight bytes of each name, and only if there are any among the names."""
    digests = np.fromiter((_digest(name) for name in cell_ids), dtype=np.uint64, count=len(cell_ids))
    digests.sort()
    if (digests[1:] == digests[:-1]).any():
        repeated = sorted(name for name, times in Counter(cell_ids).items() if times > 1)
        if repeated:
            raise DataError(
                f"{path}: cell ids must be unique; {len(repeated)} repeat, such as {', '.join(repeated[:3])}"
            )


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest())
