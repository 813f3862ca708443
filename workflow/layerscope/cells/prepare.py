"""From files as their owners made them to one file of canonical cells, in memory bounded by the block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from layerscope import __version__
from layerscope.cells.canonical import CellsWriter, standard_table
from layerscope.cells.gene_names import GeneNames
from layerscope.cells.genes import is_mitochondrial, organism
from layerscope.cells.guard import ACCEPTED, StreamGuard, admit, judge
from layerscope.cells.h5ad_file import damage_named
from layerscope.cells.joining import joined_genes, joined_obs
from layerscope.cells.obs import write_obs
from layerscope.cells.orthologs import OrthologTable, share_of_counts
from layerscope.cells.quality import CellMetrics, Summary, filter_cells
from layerscope.cells.readers import cd4_perturbseq, gse276896, h5ad, tenx
from layerscope.cells.readers.source import SourceCells
from layerscope.cells.selection import capped, choose
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError
from layerscope.files import refuse_overwriting, whole

LOG = logging.getLogger(__name__)
NORMALISED_TO = 1e4
EXPECTED_SHARE, LEAST_SHARE = 0.5, 0.2
"""Of all counts, in genes with an ortholog: with less, a warning and a refusal."""

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
    obs: str | Path | None = None,
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
    obs
        The cells' table alone, if it is wanted; see :mod:`layerscope.cells.obs`.
    """
    read = [Path(path) for path in (*inputs, *([gene_names] if gene_names else []))]
    read += [inside for folder in read if folder.is_dir() for inside in folder.iterdir()]
    outputs = [output, summary, *([obs] if obs else [])]
    chosen = CellSettings.read(settings, f"condition {condition}")
    read += [Path(chosen.orthologs.table)] if chosen.orthologs else []
    for path in outputs:
        refuse_overwriting(path, *read)
    with damage_named(*inputs):
        sources = READERS[chosen.kind](inputs, chosen)
        write_prepared(joined(sources, chosen, condition, gene_names), outputs)


def write_prepared(cells: Cells, outputs: Sequence[str | Path]) -> None:
    """Guard, filter and select the cells of a condition, and write what :func:`prepare` writes."""
    cells.admit()
    cells.filter()
    genes = cells.choose_genes()
    with ExitStack() as files:
        scratch = [files.enter_context(whole(path)) for path in outputs]
        cells.write(genes, *scratch)
    LOG.info(
        "%s: %s cells x %s genes", cells.condition, f"{cells.summary.remaining.sum():,}", f"{len(genes):,}"
    )


def joined(
    sources: Sequence[SourceCells],
    settings: CellSettings,
    condition: str,
    gene_names: str | Path | None = None,
) -> Cells:
    """The cells of all sources of a condition, those left out that the settings leave out.

    Parameters and errors are those of :func:`prepare`.
    """
    if not sources:
        raise ConfigError(f"condition {condition}: no input file")
    if settings.orthologs is not None:
        policy, values = settings.orthologs.policy, settings.values  # noqa: PD011
        if policy == "sum" and values == "log_normalised":
            raise ConfigError(
                f"condition {condition}: orthologs: policy: found 'sum', and logarithms cannot be added up; "
                "expected 'one_to_one'"
            )
        orthologs = OrthologTable.read(settings.orthologs.table)
        if settings.orthologs.shuffled is not None:
            orthologs = orthologs.shuffled(settings.orthologs.shuffled)
        for source in sources:
            source.take_orthologs(orthologs, policy)
    if gene_names is not None:
        names = GeneNames.read(gene_names)
        for source in sources:
            source.var, remark = names.complete(source.var)
            source.remarks += [remark] if remark else []
    for label, message in sources[0].absent.items():
        if all(label in source.absent for source in sources):
            raise DataError(message)
    return Cells(sources, settings, condition)


@dataclass(frozen=True)
class Part:
    """A source in a condition: the position of its first cell, and its columns of the condition's genes."""

    source: SourceCells
    first: int
    columns: np.ndarray | None

    def genes(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """A block of the source over the condition's genes."""
        return block if self.columns is None else block[:, self.columns]


class Cells:
    """The cells of one condition on their way from the sources, one per input, to the canonical file."""

    def __init__(self, sources: Sequence[SourceCells], settings: CellSettings, condition: str) -> None:
        self.settings, self.condition = settings, condition
        self.values: str = settings.values  # noqa: PD011
        self.obs = joined_obs(sources, settings)
        self.genes, columns = joined_genes(sources)
        firsts = np.cumsum([0, *(len(source.obs) for source in sources)])[:-1].tolist()
        self._parts = [Part(*part) for part in zip(sources, firsts, columns, strict=True)]
        self.metrics = CellMetrics(len(self.obs))
        self.seen: list[str] = []
        self._mitochondrial = is_mitochondrial(self.genes)
        self._rescale = False
        self.summary = Summary(self.obs, max(source.matrix_read.shape[1] for source in sources))
        self._orthologs = [source.orthologs for source in sources if source.orthologs]
        self._share = 1.0
        self._leave_out(sources)

    def _leave_out(self, sources: Sequence[SourceCells]) -> None:
        if not len(self.obs):
            raise DataError(f"condition {self.condition}: there are no cells in {sources[0].name}")
        for source in sources:
            self.summary.happened_before(source.before)
        self.summary.filter_cells("read", "none", None, np.ones(len(self.obs), dtype=bool))
        steps = [{(name, value): keep for name, value, keep in source.left_out} for source in sources]
        for step in dict.fromkeys(step for of_source in steps for step in of_source):
            keep = [
                of_source.get(step, np.ones(len(source.obs), dtype=bool))
                for of_source, source in zip(steps, sources, strict=True)
            ]
            self.summary.filter_cells("subset", *step, np.concatenate(keep))
        if self.settings.uses_time and "time" in self.obs:
            timed = self.obs["time"].notna().to_numpy()
            if not timed[self.summary.remaining].all():
                self.summary.filter_cells("subset", "time", "known", timed)
        if settings := self.settings.orthologs:
            n_genes = max(len(source.var) for source in sources)
            self.summary.filter_genes("subset", "orthologs", settings.policy, n_genes)
        if len(self.genes) < self.summary.n_genes:
            self.summary.filter_genes("subset", "genes", "in every input", len(self.genes))
        self._demand_some("subset")

    def _demand_some(self, step: str) -> None:
        if not self.summary.remaining.any():
            filters = "; ".join(
                f"{row['filter']} {row['threshold']}: {row['cells_after']:,} left"
                for row in self.summary.rows
                if row["group"] == "all" and row["filter"] != "none"
            )
            raise DataError(f"condition {self.condition}: no cell is left after the step {step} ({filters})")

    def admit(self) -> None:
        """Look at a sample of every source; refuse it if it is not what the study says."""
        recovered = self.settings.recover_counts or self.settings.kind == "gse276896"
        for part, rows in self._used():
            source = part.source
            sample = judge(source.matrix_read, rows)
            fits = sample.kind in ACCEPTED[self.values]
            remedy = "" if fits or recovered else source.counts_elsewhere(rows)
            sentence = admit(sample, self.values, source.where, remedy)
            LOG.info("%s: %s", source.where, sentence)
            for remark in source.remarks:
                LOG.info("%s: %s", source.name, remark)
            for doubt in source.doubts:
                LOG.warning("%s: %s", source.name, doubt)
            self.seen += [f"{source.where}: {sentence}", *source.remarks, *source.doubts]
            self._rescale |= self.values == "normalised" and sample.total > 0

    def filter(self) -> None:
        """Measure every cell, guarding every value; then quality control and selection."""
        for part, rows in self._used():
            source = part.source
            guard = StreamGuard(source.where, self.values, source.obs.index, source.var.index)
            for block_rows, block in source.matrix.blocks(rows):
                guard.check(block_rows, block)
                block = part.genes(block)
                # shares of a cell's total are those of values before any logarithm
                unlogged = block.expm1() if self.values == "log_normalised" else block
                self.metrics.measure(block_rows + part.first, unlogged, self._mitochondrial)
        if self._orthologs:
            self._judge_orthologs()
        without = "the genes have no symbols" if self._mitochondrial is None else ""
        if self._mitochondrial is not None and not self._mitochondrial.any():
            without = "no gene's symbol starts with MT-"
        filter_cells(self.metrics, self.settings.quality, self.summary, self.values, without)
        self._demand_some("quality")
        if self.settings.of_screens:
            self._select()
        self._cap()
        if "is_root" in self.obs and not self.obs["is_root"][self.summary.remaining].any():
            reason = self.summary.emptied(self.obs["is_root"].to_numpy())
            raise DataError(f"condition {self.condition}: no root cell is left{reason}")

    def _judge_orthologs(self) -> None:
        """Say how much of the counts is left in genes with an ortholog; refuse cells that lose nearly all."""
        self._share = share_of_counts(self._orthologs)
        sentence = f"{self._share:.1%} of the counts are in genes with an ortholog"
        self.summary.remark("orthologs", sentence)
        self.seen.append(sentence)
        remedy = "is the table of this species, and are genes named alike in it? Mend `orthologs`"
        if self._share < LEAST_SHARE:
            raise DataError(
                f"condition {self.condition}: {sentence}, where {LEAST_SHARE:.0%} are needed; {remedy}, or "
                "run models that know the species' own genes without it"
            )
        level = logging.WARNING if self._share < EXPECTED_SHARE else logging.INFO
        LOG.log(level, "%s: %s%s", self.condition, sentence, f"; {remedy}" if level > logging.INFO else "")

    def _select(self) -> None:
        passed = np.flatnonzero(self.summary.remaining)
        assigned = (self.obs["perturbation"] != "").to_numpy() | self.obs["is_control"].to_numpy()
        self.summary.filter_cells("selection", "perturbation", "assigned", assigned)
        control = self.obs["is_control"].to_numpy()
        if not control[passed].any():
            raise DataError(
                f"condition {self.condition}: no control cells are left{self.summary.emptied(control)}; "
                "check `control`, `subset` and `quality`"
            )
        keep = np.zeros(len(self.obs), dtype=bool)
        selection = self.settings.selection
        keep[passed] = choose(self.obs.iloc[passed], selection, f"condition {self.condition}")
        self.summary.filter_cells("selection", "selection", selection.text(), keep, by="perturbation")

    def _cap(self) -> None:
        most = self.settings.max_cells
        if most is None:
            return
        passed = np.flatnonzero(self.summary.remaining)
        obs = self.obs.iloc[passed]
        strata = obs[[name for name in self.settings.strata if name in obs]]
        keep = np.zeros(len(self.obs), dtype=bool)
        chosen = capped(obs.index, strata, most, self.settings.selection.seed, every_stratum=True)
        keep[passed[chosen]] = True
        self.summary.filter_cells("selection", "max_cells", most, keep)

    def choose_genes(self) -> np.ndarray:
        """Positions of the genes that are kept: detected in enough of the kept cells."""
        least = self.settings.quality.min_cells_per_gene
        if least is None:
            return np.arange(len(self.genes))
        detected = np.zeros(len(self.genes), dtype=np.int64)
        for block in self._blocks():
            detected += np.bincount(block.indices[block.data != 0], minlength=len(self.genes))
        genes = np.flatnonzero(detected >= least)
        self.summary.filter_genes("quality", "min_cells_per_gene", least, len(genes))
        if not len(genes):
            raise DataError(f"condition {self.condition}: no gene is detected in {least} cells")
        return genes

    def write(self, genes: np.ndarray, cells: Path, summary: Path, obs: Path | None = None) -> None:
        """Write the kept cells and genes as canonical cells, the summary, and the cells' table alone."""
        var, table = self.genes.iloc[genes], self.obs[self.summary.remaining]
        about, root = self._provenance(var), self._root_cell(table)
        with CellsWriter(cells, var, about) as writer:
            for block in self._blocks():
                values = self._canonical(block)
                writer.append(values if len(genes) == len(self.genes) else values[:, genes])
            writer.finish(table, root)
        self.summary.write(summary)
        if obs is not None:
            write_obs(obs, standard_table(table), about, root)

    def _root_cell(self, obs: pd.DataFrame) -> str | None:
        named = {part.source.root_cell for part in self._parts if part.source.root_cell is not None}
        left = sorted(named & set(obs.index))
        if named and not left:
            LOG.warning(
                "%s: the data's root cell %s was filtered out", self.condition, ", ".join(sorted(named))
            )
        return left[0] if len(left) == 1 else None

    def _provenance(self, var: pd.DataFrame) -> dict[str, Any]:
        settings, remaining = self.settings, self.summary.remaining
        about = {
            **settings.about,
            "condition": self.condition,
            "dataset": settings.dataset,
            "kind": settings.kind,
            "task": settings.task,
            "values": "counts" if self.values == "counts" else "log_normalised",
            "values_in_source": self.values,
            "seen": self.seen,
            "source": [part.source.name for part in self._parts],
            "organism": organism(var),
            "quality": settings.quality.stated(),
            "selection": settings.selection.model_dump(exclude_none=True),
            "seed": settings.selection.seed,
            "n_cells": int(remaining.sum()),
            "n_genes": len(var),
            "median_genes_per_cell": float(np.median(self.metrics.n_genes[remaining])),
            "layerscope_version": __version__,
        }
        if self.settings.orthologs:
            about["orthologs"] = {
                "table": Path(self.settings.orthologs.table).name,
                "policy": self.settings.orthologs.policy,
                "share_of_counts": round(self._share, 4),
            }
        if self.values == "counts":
            about["median_counts_per_cell"] = float(np.median(self.metrics.n_counts[remaining]))
        return about

    def _used(self) -> Iterator[tuple[Part, np.ndarray]]:
        """Every source of which cells are left, and its rows that are."""
        for part in self._parts:
            rows = np.flatnonzero(self.summary.remaining[part.first : part.first + len(part.source.obs)])
            if len(rows):
                yield part, rows

    def _blocks(self) -> Iterator[sparse.csr_matrix]:
        for part, rows in self._used():
            for _, block in part.source.matrix.blocks(rows):
                yield part.genes(block)

    def _canonical(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Values as the canonical file holds them: normalised values are logged here, once."""
        if self.values != "normalised":
            return block
        values = block.astype(np.float64)
        if self._rescale:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            totals[totals == 0] = 1
            values.data *= np.repeat(NORMALISED_TO / totals, np.diff(block.indptr))
        return values.log1p()
