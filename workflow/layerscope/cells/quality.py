"""Quality control, as scanpy's filters do it, with a record of what each filter removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.cells.settings import Quality
from layerscope.tables import write_table

SUMMARY_COLUMNS = (
    *("step", "filter", "threshold", "group"),
    *("cells_before", "cells_after", "genes_before", "genes_after", "remark"),
)
GROUPS = ("time", "batch", "replicate", "is_control")


class CellMetrics:
    """Genes detected, total before any logarithm, and mitochondrial share of it (NaN if 0) of every cell."""

    def __init__(self, n_cells: int) -> None:
        self.n_genes = np.zeros(n_cells, dtype=np.int64)
        self.n_counts = np.zeros(n_cells)
        self.mitochondrial_percent = np.full(n_cells, np.nan)

    def measure(self, cells: np.ndarray, block: sparse.csr_matrix, mitochondrial: np.ndarray | None) -> None:
        """Measure a block, shape ``(n_rows, n_genes)``, of the cells with these positions."""
        cell = np.repeat(np.arange(len(cells)), np.diff(block.indptr))

        def sums(values: np.ndarray) -> np.ndarray:
            return np.bincount(cell, weights=values, minlength=len(cells))

        self.n_genes[cells] = sums(block.data != 0)
        self.n_counts[cells] = total = sums(block.data)
        if mitochondrial is not None:
            share = sums(block.data * mitochondrial[block.indices])
            self.mitochondrial_percent[cells] = np.divide(
                100 * share, total, out=np.full(len(total), np.nan), where=total > 0
            )


@dataclass
class Summary:
    """The table of what each step removed, and the cells that are left (``remaining``)."""

    groups: pd.DataFrame  # a row for each cell, with those of GROUPS that the data have
    n_genes: int
    rows: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remaining = np.ones(len(self.groups), dtype=bool)
        self._steps: list[tuple[str, np.ndarray]] = []

    def filter_cells(self, step: str, name: str, threshold: object, keep: np.ndarray, by: str = "") -> None:
        """Record a filter of cells; ``by`` names one more column to group by (the perturbation, say)."""
        after = self.remaining & keep
        self._record(step, name, threshold, after, self.n_genes, by=by)
        self._steps.append((f"`{name}: {threshold}`" if threshold is not None else name, keep))
        self.remaining = after

    def emptied(self, cells: np.ndarray) -> str:
        """Which filter removed the last of these cells, as the end of a sentence; else nothing."""
        left = cells.copy()
        for name, keep in self._steps:
            before, left = left, left & keep
            if before.any() and not left.any():
                return f" after the filter {name}, which removed the last {int(before.sum()):,}"
        return ""

    def happened_before(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Take over the steps by which the file was cut from a larger one."""
        self.rows += [{**dict.fromkeys(SUMMARY_COLUMNS, ""), **row} for row in rows]

    def filter_genes(self, step: str, name: str, threshold: object, n_genes: int) -> None:
        """Record a filter of genes."""
        self._record(step, name, threshold, self.remaining, n_genes)
        self.n_genes = n_genes

    def remark(self, name: str, remark: str) -> None:
        """Say something of a filter that is recorded."""
        for row in self.rows:
            if row["filter"] == name:
                row["remark"] = remark

    def not_applied(self, step: str, name: str, threshold: object, reason: str) -> None:
        """Record a filter that was asked for and could not be applied."""
        self._record(step, name, threshold, self.remaining, self.n_genes, f"not applied: {reason}")

    def write(self, path: str | Path) -> None:
        """Write the table."""
        write_table(path, pd.DataFrame(self.rows, columns=list(SUMMARY_COLUMNS)))

    def _record(
        self,
        step: str,
        name: str,
        threshold: object,
        after: np.ndarray,
        n_genes: int,
        remark: str = "",
        by: str = "",
    ) -> None:
        shared = {"step": step, "filter": name, "threshold": "" if threshold is None else threshold}
        genes = {"genes_before": self.n_genes, "genes_after": n_genes, "remark": remark}
        counts = [("all", int(self.remaining.sum()), int(after.sum()))]
        for column in [c for c in (*GROUPS, by) if c in self.groups]:
            counts += _per_label(self.groups[column], self.remaining, after)
        for group, n_before, n_after in counts:
            cells = {"cells_before": n_before, "cells_after": n_after}
            self.rows.append({**shared, "group": group, **cells, **genes})


def _per_label(column: pd.Series, before: np.ndarray, after: np.ndarray) -> list[tuple[str, int, int]]:
    labels = column.astype("category")
    n_before, n_after = (labels[cells].value_counts(sort=False) for cells in (before, after))
    return [
        (f"{column.name}: {label}", int(before), int(after))
        for label, before, after in zip(labels.cat.categories, n_before, n_after, strict=True)
        if before
    ]


def filter_cells(
    metrics: CellMetrics, quality: Quality, summary: Summary, values: str, mitochondrial: str
) -> None:
    """Apply the filters of cells in order; ``mitochondrial`` says why there is no such share, if so."""
    no_counts = "" if values == "counts" else "the values are not counts"
    percent = np.nan_to_num(metrics.mitochondrial_percent, nan=0.0)
    steps: list[tuple[str, str, np.ndarray, Callable[[np.ndarray, float], np.ndarray]]] = [
        ("min_genes_per_cell", "", metrics.n_genes, np.greater_equal),
        ("max_genes_per_cell", "", metrics.n_genes, np.less_equal),
        ("min_counts_per_cell", no_counts, metrics.n_counts, np.greater_equal),
        ("max_counts_per_cell", no_counts, metrics.n_counts, np.less_equal),
        ("max_mitochondrial_percent", mitochondrial, percent, np.less_equal),
    ]
    for name, reason, measured, compare in steps:
        threshold = getattr(quality, name)
        if threshold is None:
            continue
        if reason:
            summary.not_applied("quality", name, threshold, reason)
        else:
            summary.filter_cells("quality", name, threshold, compare(measured, threshold))
