"""What every reader hands on: cells of one file, their standard columns, and rows of values on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from layerscope.cells.gene_table import gene_table
from layerscope.cells.genes import why_transposed
from layerscope.cells.matrix import ChosenColumns, RowMatrix, StoredRows
from layerscope.cells.orthologs import OrthologColumns, OrthologTable
from layerscope.cells.readers.columns import Columns, is_one_of
from layerscope.cells.readers.standard import standard_obs
from layerscope.cells.recovery import RecoveredCounts
from layerscope.cells.settings import CellSettings, Policy
from layerscope.errors import DataError

Step = tuple[str, str, np.ndarray]


@dataclass
class SourceCells:
    """Cells of one file, before any cell was left out."""

    name: str
    obs: pd.DataFrame  # standard columns, indexed by cell id
    var: pd.DataFrame  # ``symbol`` and/or ``ensembl_id``, indexed by unique gene names
    matrix: RowMatrix
    matrix_name: str = "X"
    orthologs: OrthologColumns | None = None
    """The matrix, where its genes are the orthologs of those that the file has."""
    left_out: list[Step] = field(default_factory=list)
    """Steps that leave cells out, in order: name, threshold, and the cells that pass."""
    root_cell: str | None = None  # id of the one root cell that the data name
    absent: dict[tuple[str, str], str] = field(default_factory=dict)
    """Key and label that the settings name and no cell of this file carries, and the message to give if no
    other file of the condition has the label either."""
    counts_elsewhere: Callable[[np.ndarray], str] = lambda _: ""
    """Says where the counts of these cells probably are, when the matrix is refused."""
    remarks: list[str] = field(default_factory=list)  # what a reader of the log should know
    doubts: list[str] = field(default_factory=list)  # what may be wrong in the file: warnings
    stored_times: tuple[str, ...] = ()  # sampling times from early to late, where the file itself says so
    used_columns: list[str] = field(default_factory=list)
    before: list[dict[str, Any]] = field(default_factory=list)
    """What had been left out when the file was cut from a larger one: rows of the summary."""

    @property
    def matrix_read(self) -> RowMatrix:
        """The matrix of the file, before any gene became its ortholog."""
        return self.orthologs.matrix if self.orthologs else self.matrix

    def take_orthologs(self, table: OrthologTable, policy: Policy) -> None:
        """Have the human orthologs of the genes in their place."""
        self.var, mapping, remark = table.map(self.var, policy)
        self.matrix = self.orthologs = OrthologColumns(self.matrix, mapping)
        self.remarks.append(remark)

    @property
    def where(self) -> str:
        """The file and its matrix, for messages."""
        return f"{self.name}: {self.matrix_name}"


def source_cells(
    columns: Columns,
    cell_ids: Sequence[str],
    features: pd.DataFrame,
    matrix: RowMatrix,
    matrix_name: str,
    settings: CellSettings,
    steps: Sequence[Step] = (),
) -> SourceCells:
    """Cells from their tables and a matrix; ``steps`` leave cells out before those of the settings."""
    cells, name = source_labels(columns, cell_ids, settings, steps), columns.name
    if matrix.shape != (len(cell_ids), len(features)):
        raise DataError(
            f"{name}: {matrix_name} is {matrix.shape[0]} x {matrix.shape[1]}, but the tables name "
            f"{len(cell_ids)} cells and {len(features)} genes"
        )
    if transposed := why_transposed(cell_ids, features.index.tolist()):
        raise DataError(f"{name}: {transposed}")
    genes = gene_table(features, settings, name)
    if genes.columns is not None:
        matrix = ChosenColumns(matrix, genes.columns)
    matrix, remarks = _counts(matrix, matrix_name, settings, columns)
    return replace(
        cells,
        var=genes.var,
        matrix=matrix,
        matrix_name=matrix_name,
        remarks=[*remarks, *genes.remarks, *cells.remarks],
        doubts=genes.doubts,
        used_columns=list(columns.used),
    )


def source_labels(
    columns: Columns, cell_ids: Sequence[str], settings: CellSettings, steps: Sequence[Step] = ()
) -> SourceCells:
    """Cells from the table of their labels alone: without values, and without genes."""
    left_out = [*steps, *_subset_steps(columns, settings)]
    return SourceCells(
        name=columns.name,
        obs=standard_obs(cell_ids, columns, settings, passing(left_out, len(cell_ids))),
        var=pd.DataFrame(index=pd.Index([], dtype=object)),
        matrix=StoredRows(np.zeros((len(cell_ids), 0))),
        left_out=left_out,
        absent=columns.absent,
        remarks=list(columns.remarks.values()),
        stored_times=columns.stored_times,
        used_columns=list(columns.used),
    )


def _subset_steps(columns: Columns, settings: CellSettings) -> list[Step]:
    """The settings' ``subset`` and ``exclude`` as steps that leave cells out."""
    steps: list[Step] = []
    for key, wanted in (("subset", settings.subset), ("exclude", settings.exclude)):
        for column, labels in wanted.items():
            values = columns.labels(column, f"{key}: {column}", named=labels)
            columns.expect(labels, values, column, f"{key}: {column}")
            carries, names = is_one_of(values, labels), ", ".join(labels)
            steps.append((column, names, carries) if key == "subset" else (column, f"not {names}", ~carries))
    return steps


def passing(steps: Sequence[Step], n_cells: int) -> np.ndarray:
    """Which cells pass all steps, shape ``(n_cells,)``, bool."""
    passes: np.ndarray = np.logical_and.reduce(
        [np.ones(n_cells, dtype=bool), *(keep for _, _, keep in steps)]
    )
    return passes


def _counts(
    matrix: RowMatrix, matrix_name: str, settings: CellSettings, columns: Columns
) -> tuple[RowMatrix, list[str]]:
    """The matrix as the settings want it read, and a remark where its counts are recovered."""
    recovery = settings.recover_counts
    if recovery is None:
        return matrix, []
    totals = pd.to_numeric(columns.column(recovery.total, "recover_counts: total"), errors="coerce")
    where, value = f"{columns.name}: {matrix_name}", "expm1(value)" if recovery.logged else "value"
    formula = f"{value} * obs[{recovery.total!r}] / {recovery.per:g}"
    rounded = f" (values rounded to {recovery.decimals} decimals)" if recovery.decimals else ""
    recovered = RecoveredCounts(matrix, totals.to_numpy(), recovery, where)
    return recovered, [f"counts recovered exactly from {matrix_name}: {formula}{rounded}"]
