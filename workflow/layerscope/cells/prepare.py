"""From files as their owners made them to one file of canonical cells, in memory bounded by the block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from layerscope import __version__
from layerscope.cells.canonical import CellsWriter
from layerscope.cells.gene_names import GeneNames
from layerscope.cells.genes import is_mitochondrial, organism
from layerscope.cells.guard import StreamGuard, admit, judge
from layerscope.cells.labels import natural_order
from layerscope.cells.quality import CellMetrics, Summary, filter_cells
from layerscope.cells.readers import cd4_perturbseq, gse276896, h5ad, tenx
from layerscope.cells.readers.source import SourceCells
from layerscope.cells.selection import choose
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError
from layerscope.files import whole

LOG = logging.getLogger(__name__)
NORMALISED_TO = 1e4

Reader = Callable[[Sequence[str | Path], CellSettings], list[SourceCells]]
READERS: dict[str, Reader] = {
    "h5ad": lambda paths, settings: [h5ad.read(path, settings) for path in paths],
    "gse276896": lambda paths, settings: [gse276896.read(path, settings) for path in paths],
    "cd4_perturbseq": lambda paths, settings: [cd4_perturbseq.read(path, settings) for path in paths],
    "10x": tenx.read,
}


def prepare(
    inputs: Sequence[str | Path],
    settings: Mapping[str, Any],
    condition: str,
    output: str | Path,
    summary: str | Path,
    gene_names: str | Path | None = None,
) -> None:
    """Prepare the cells of one condition: read, guard, quality control, selection, canonical file, summary.

    Every value is looked at three times, in blocks: to measure and guard, to count genes, and to write.

    Parameters
    ----------
    inputs
        Files of the dataset; several are put one after the other, with the genes that all have.
    settings
        See :class:`layerscope.cells.settings.CellSettings`.
    condition
        Its name, for provenance.
    output, summary
        The canonical cells, and the table of what each step removed.
    gene_names
        Table of symbols and Ensembl ids, for inputs that have only one of them; see
        :class:`layerscope.cells.gene_names.GeneNames`.

    Raises
    ------
    ConfigError, DataError
        If the settings, or the files, cannot be used; nothing is written then.
    """
    chosen = CellSettings.read(settings, f"condition {condition}")
    try:
        _prepare(inputs, chosen, condition, Path(output), Path(summary), gene_names)
    except OSError as error:
        if error.errno is not None:
            raise
        names = ", ".join(Path(path).name for path in inputs)
        raise DataError(f"{names}: damaged HDF5 file ({error}); fetch or copy it again") from error


def _prepare(
    inputs: Sequence[str | Path],
    chosen: CellSettings,
    condition: str,
    output: Path,
    summary: Path,
    gene_names: str | Path | None,
) -> None:
    sources = READERS[chosen.kind](inputs, chosen)
    if not sources:
        raise ConfigError(f"condition {condition}: no input file")
    if gene_names is not None:
        _complete_names(sources, GeneNames.read(gene_names))
    cells = Cells(sources, chosen, condition)
    cells.admit()
    cells.filter()
    genes = cells.choose_genes()
    with whole(output) as scratch, whole(summary) as table:
        cells.write(scratch, genes)
        cells.summary.write(table)
    LOG.info("%s: %s cells x %s genes", condition, f"{cells.summary.kept.sum():,}", f"{len(genes):,}")


class Cells:
    """The cells of one condition on their way from the sources to the canonical file.

    Parameters
    ----------
    sources
        One per file, in the order of the inputs.
    settings, condition
        See :func:`prepare`.
    """

    def __init__(self, sources: Sequence[SourceCells], settings: CellSettings, condition: str) -> None:
        self.sources, self.settings, self.condition = sources, settings, condition
        self.values: str = settings.values  # noqa: PD011
        _demand_labels(sources)
        self.obs = _joined_obs(sources, settings.time_order)
        self.genes, self._columns = _joined_genes(sources)
        self._starts = np.cumsum([0, *(len(source.obs) for source in sources)])
        largest = max(len(source.var) for source in sources)
        self.summary = Summary(self.obs, largest)
        self.metrics = CellMetrics.empty(len(self.obs))
        self.seen: list[str] = []
        self._mitochondrial = is_mitochondrial(self.genes)
        self._rescale = False
        self._leave_out(largest)

    def _leave_out(self, n_genes: int) -> None:
        for source in self.sources:
            self.summary.happened_before(source.before)
        everything = np.ones(len(self.obs), dtype=bool)
        self.summary.filter_cells("read", "none", None, everything)
        names = dict.fromkeys(
            (name, threshold) for source in self.sources for name, threshold, _ in source.left_out
        )
        for name, threshold in names:
            keep = np.concatenate([_keep(source, name, threshold) for source in self.sources])
            self.summary.filter_cells("subset", name, threshold, keep)
        if "time" in self.obs and self.obs["time"].isna()[self.summary.kept].any():
            self.summary.filter_cells("subset", "time", "known", self.obs["time"].notna().to_numpy())
        if len(self.genes) < n_genes:
            self.summary.filter_genes("subset", "genes", "in every input", len(self.genes))
        self._demand_some("subset")

    def _demand_some(self, step: str) -> None:
        if not self.summary.kept.any():
            if not len(self.obs):
                raise DataError(f"condition {self.condition}: there are no cells in {self.sources[0].name}")
            said = "; ".join(
                f"{row['filter']} {row['threshold']}: {row['cells_after']:,} left"
                for row in self.summary.rows
                if row["group"] == "all" and row["filter"] != "none"
            )
            raise DataError(f"condition {self.condition}: no cell is left after the step {step} ({said})")

    def admit(self) -> None:
        """Look at a sample of every source; refuse it if it is not what the study says."""
        recovered = self.settings.recover_counts or self.settings.kind == "gse276896"
        for source, rows in self._rows():
            found = judge(source.matrix, rows)
            remedy = "" if recovered else source.counts_elsewhere(rows)
            sentence = admit(found, self.values, source.where, remedy)
            LOG.info("%s: %s", source.where, sentence)
            for remark in source.remarks:
                LOG.info("%s: %s", source.name, remark)
            self.seen += [f"{source.where}: {sentence}", *source.remarks]
            self._rescale |= self.values == "normalised" and found.total > 0

    def filter(self) -> None:
        """Measure every cell, guarding every value; then quality control and selection."""
        for source, rows in self._rows():
            guard = StreamGuard(source.where, self.values, source.obs.index, source.var.index)
            columns, offset = self._columns_of(source), self._offset(source)
            for part, block in source.matrix.blocks(rows):
                guard.check(part, block)
                undone = self._undone(block[:, columns] if columns is not None else block)
                self.metrics.measure(part + offset, undone, self._mitochondrial)
        filter_cells(self.metrics, self.settings.quality, self.summary, self.values, self._no_mitochondria())
        self._demand_some("quality")
        if self.settings.task == "perturbation":
            self._select()
        if "is_root" in self.obs and not self.obs["is_root"][self.summary.kept].any():
            raise DataError(f"condition {self.condition}: no root cell is left after quality control")

    def _select(self) -> None:
        if "is_control" not in self.obs:
            raise ConfigError(
                f"condition {self.condition}: set `control`: the label(s) of non-targeting cells"
            )
        kept = np.flatnonzero(self.summary.kept)
        assigned = (self.obs["perturbation"] != "").to_numpy() | self.obs["is_control"].to_numpy()
        self.summary.filter_cells("selection", "perturbation", "assigned", assigned)
        keep = np.zeros(len(self.obs), dtype=bool)
        selection = self.settings.selection
        keep[kept] = choose(self.obs.iloc[kept], selection, f"condition {self.condition}")
        said = ", ".join(f"{key} {value}" for key, value in selection.model_dump(exclude_none=True).items())
        self.summary.filter_cells("selection", "selection", said, keep, by="perturbation")

    def _no_mitochondria(self) -> str:
        if self._mitochondrial is None:
            return "the genes have no symbols"
        return "" if self._mitochondrial.any() else "no gene's symbol starts with MT-"

    def choose_genes(self) -> np.ndarray:
        """Positions of the genes that are kept: detected in enough of the kept cells."""
        least = self.settings.quality.min_cells_per_gene
        if least is None:
            return np.arange(len(self.genes))
        detected = np.zeros(len(self.genes), dtype=np.int64)
        for _, block in self._blocks():
            detected += np.bincount(block.indices[block.data != 0], minlength=len(self.genes))
        genes = np.flatnonzero(detected >= least)
        self.summary.filter_genes("quality", "min_cells_per_gene", least, len(genes))
        if not len(genes):
            raise DataError(f"condition {self.condition}: no gene is detected in {least} cells")
        return genes

    def write(self, path: Path, genes: np.ndarray) -> None:
        """Write the kept cells and genes as canonical cells."""
        kept = self.summary.kept
        var, obs = self.genes.iloc[genes], self.obs[kept]
        everything = len(genes) == len(self.genes)
        with CellsWriter(path, var, self._provenance(var)) as writer:
            for _, block in self._blocks():
                values = self._canonical(block)
                writer.append(values if everything else values[:, genes])
            writer.finish(obs, self._root_cell(obs))

    def _root_cell(self, obs: pd.DataFrame) -> str | None:
        named = {source.root_cell for source in self.sources if source.root_cell is not None}
        left = sorted(named & set(obs.index))
        if named and not left:
            LOG.warning(
                "%s: the data's root cell %s was filtered out", self.condition, ", ".join(sorted(named))
            )
        return left[0] if len(left) == 1 else None

    def _provenance(self, var: pd.DataFrame) -> dict[str, Any]:
        settings, kept = self.settings, self.summary.kept
        return {
            **settings.about,
            "condition": self.condition,
            "dataset": settings.dataset,
            "kind": settings.kind,
            "task": settings.task,
            "values": "counts" if self.values == "counts" else "log_normalised",
            "values_in_source": self.values,
            "seen": self.seen,
            "source": [source.name for source in self.sources],
            "organism": organism(var),
            "quality": settings.quality.stated(),
            "selection": settings.selection.model_dump(exclude_none=True),
            "seed": settings.selection.seed,
            "n_cells": int(kept.sum()),
            "n_genes": len(var),
            "median_genes_per_cell": float(np.median(self.metrics.n_genes[kept])),
            **self._median_counts(),
            "layerscope_version": __version__,
        }

    def _median_counts(self) -> dict[str, float]:
        if self.values != "counts":
            return {}
        return {"median_counts_per_cell": float(np.median(self.metrics.n_counts[self.summary.kept]))}

    def _rows(self) -> Iterator[tuple[SourceCells, np.ndarray]]:
        for source, start in zip(self.sources, self._starts, strict=False):
            rows = np.flatnonzero(self.summary.kept[start : start + len(source.obs)])
            if len(rows):
                yield source, rows

    def _offset(self, source: SourceCells) -> int:
        return int(self._starts[self.sources.index(source)])

    def _columns_of(self, source: SourceCells) -> np.ndarray | None:
        return self._columns[self.sources.index(source)]

    def _blocks(self) -> Iterator[tuple[np.ndarray, sparse.csr_matrix]]:
        for source, rows in self._rows():
            columns, offset = self._columns_of(source), self._offset(source)
            for part, block in source.matrix.blocks(rows):
                yield part + offset, block[:, columns] if columns is not None else block

    def _undone(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Values before any logarithm, in which shares of a cell's total can be taken."""
        if self.values != "log_normalised":
            return block
        return sparse.csr_matrix((np.expm1(block.data), block.indices, block.indptr), shape=block.shape)

    def _canonical(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Values as the canonical file holds them: normalised values are logged here, once."""
        if self.values != "normalised":
            return block
        values = block.data.astype(np.float64)
        if self._rescale:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            totals[totals == 0] = 1
            values *= np.repeat(NORMALISED_TO / totals, np.diff(block.indptr))
        return sparse.csr_matrix((np.log1p(values), block.indices, block.indptr), shape=block.shape)


def _complete_names(sources: Sequence[SourceCells], names: GeneNames) -> None:
    for source in sources:
        source.var, said = names.complete(source.var)
        source.remarks += [said] if said else []


def _demand_labels(sources: Sequence[SourceCells]) -> None:
    for label, message in sources[0].absent.items():
        if all(label in source.absent for source in sources):
            raise DataError(message)


def _joined_obs(sources: Sequence[SourceCells], time_order: Sequence[str]) -> pd.DataFrame:
    if len(sources) == 1:
        obs = sources[0].obs
    else:
        obs = pd.concat([_with_time_as_text(source.obs) for source in sources])
        if "time" in obs:
            present = set(obs["time"]) - {""}
            labels = [label for label in time_order if label in present] or natural_order(present)
            obs["time"] = pd.Categorical(obs["time"], categories=labels, ordered=True)
    if not obs.index.is_unique:
        few = ", ".join(obs.index[obs.index.duplicated()][:3])
        raise DataError(f"{sources[0].name}: cell ids repeat, such as {few}; every cell needs its own name")
    return obs


def _with_time_as_text(obs: pd.DataFrame) -> pd.DataFrame:
    return obs.assign(time=obs["time"].astype(object).fillna("")) if "time" in obs else obs


def _joined_genes(sources: Sequence[SourceCells]) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    first = sources[0].var
    if all(source.var.index.equals(first.index) for source in sources):
        return first, [None] * len(sources)
    shared = first.index
    for source in sources[1:]:
        shared = shared[shared.isin(source.var.index)]
    if not len(shared):
        names = ", ".join(source.name for source in sources)
        raise DataError(f"the inputs have no gene in common: {names}")
    return first.loc[shared], [source.var.index.get_indexer(shared) for source in sources]


def _keep(source: SourceCells, name: str, threshold: str) -> np.ndarray:
    for step, value, keep in source.left_out:
        if (step, value) == (name, threshold):
            return keep
    return np.ones(len(source.obs), dtype=bool)
