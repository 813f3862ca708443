"""What a file or folder of cells holds, of any kind that a reader reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.embeddings_inside import Embedding, embeddings_of
from layerscope.cells.fingerprint import Fingerprint
from layerscope.cells.formats import is_10x
from layerscope.cells.gene_table import GeneTable, are_genes, feature_types, gene_table, genomes_of
from layerscope.cells.genes import why_transposed
from layerscope.cells.guard import ACCEPTED, SAMPLE, judge
from layerscope.cells.guesses import Column, guess_column
from layerscope.cells.h5ad_file import column_names, read_column, read_index
from layerscope.cells.matrix import RowMatrix, sample_rows, stored_rows
from layerscope.cells.readers import h5ad, tenx
from layerscope.cells.settings import Reading
from layerscope.cells.which_matrix import choose_counts, judge_readable, recoverable_counts
from layerscope.cells.zarr_store import open_store
from layerscope.errors import DataError


@dataclass
class Description:
    """What a file holds."""

    path: Path
    kind: str  # of the reader
    cell_ids: list[str]
    judged: Mapping[str, Fingerprint]  # of its matrices, by name
    matrix: str  # the most useful of these
    genes: GeneTable  # of that matrix
    reading: Reading  # settings without which the file cannot be read
    columns: list[Column] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  # columns that cannot be read, with the reason
    remarks: list[str] = field(default_factory=list)  # what is odd about the file as a whole
    values_remark: str = ""  # where counts are, if not in that matrix, or what is odd about them
    recovery: Mapping[str, Any] = field(default_factory=dict)  # how that matrix gives counts, if it does so
    embeddings: list[Embedding] = field(default_factory=list)
    has_root: bool = False  # whether ``uns`` or a column names the root of a trajectory
    genes_detected: list[int] = field(default_factory=list)  # by each of a sample of the cells

    @property
    def values(self) -> str | None:
        """``counts``, ``normalised`` or ``log_normalised``; None if the matrix holds nothing of use."""
        if self.recovery:
            return "counts"
        seen = self.judged.get(self.matrix)
        return next((values for values, kinds in ACCEPTED.items() if seen and seen.kind in kinds), None)


def describe(path: str | Path) -> Description:
    """Describe an h5ad file, a zarr store, or a 10x matrix; a DataError says what anything else is."""
    path = Path(path)
    if _is_10x(path):
        return _describe_10x(path)
    with open_store(path) as file:
        h5ad.demand_tables(file, path.name)
        return _describe_h5ad(path, file)


def _is_10x(path: Path) -> bool:
    if path.is_dir():
        return any(tenx.TRIPLET.search(inside.name) for inside in path.iterdir())
    if path.is_file() and h5py.is_hdf5(path):
        with open_store(path) as file:
            return "obs" not in file and is_10x(file)
    return path.is_file() and tenx.TRIPLET.search(path.name) is not None


def _describe_h5ad(path: Path, file: h5py.File) -> Description:
    cell_ids = read_index(file["obs"])
    everything = np.arange(len(cell_ids))
    judged, unreadable_matrices = judge_readable(file, everything)
    if unreadable_matrices and not judged:
        raise DataError(f"{path.name}: {'; '.join(unreadable_matrices.values())}")
    counts = choose_counts(file, judged, everything)
    recoverable = None if counts.name or counts.words else recoverable_counts(file, judged, everything)
    matrix = counts.name or (recoverable.name if recoverable else _most_useful(judged))
    features, unreadable = h5ad.read_features(file, matrix)
    reading = _reading(features, path.name)
    columns, skipped = _columns(file)
    transposed = why_transposed(cell_ids, features.index.tolist())
    values_remark = counts.remedy() or str(recoverable or "")
    if counts.name:
        values_remark = f"{counts.name}{counts.words}" if counts.words else ""
    return Description(
        path=path,
        kind="h5ad",
        cell_ids=cell_ids,
        judged=judged,
        matrix=matrix,
        genes=gene_table(features, reading, path.name),
        reading=reading,
        columns=columns,
        skipped=skipped,
        remarks=[
            *([transposed] if transposed else []),
            *unreadable,
            *(f"{name}: skipped: {reason}" for name, reason in unreadable_matrices.items()),
        ],
        values_remark=values_remark,
        recovery=recoverable.key if recoverable else {},
        embeddings=embeddings_of(file),
        has_root="is_root" in column_names(file["obs"])
        or bool({"iroot", "iroot_cell"} & set(file.get("uns", {}))),
        genes_detected=genes_detected(stored_rows(file[matrix])) if matrix in judged else [],
    )


def genes_detected(matrix: RowMatrix) -> list[int]:
    """How many genes each cell of a sample expresses."""
    if matrix.dtype.kind not in "biuf":
        return []
    rows = sample_rows(matrix.shape[0], SAMPLE)
    return [int(n) for _, block in matrix.blocks(rows) for n in (block != 0).sum(axis=1).A1]


def _columns(file: h5py.File) -> tuple[list[Column], list[str]]:
    columns, skipped = [], []
    memberships = [name for name in h5ad.memberships(file) if re.search("clon", name, re.I)]
    of_file = h5ad.stored_columns(file, Path(file.filename).name)
    for name in [*column_names(file["obs"]), *memberships]:
        try:
            values = read_column(file["obs"], name) if name not in memberships else of_file.column(name, "")
            columns.append(guess_column(name, values))
        except (OSError, DataError) as error:
            skipped.append(f"{name}: skipped: {error}")
    return columns, skipped


def _describe_10x(path: Path) -> Description:
    samples, _ = tenx.sort_inputs([path])
    genomes = tenx.genomes_in(samples[0])
    genome = next(iter(genomes), None)
    barcodes, features, matrix = tenx.read_matrix(samples[0], genome)
    reading = _reading(features, path.name) if genome is None else Reading(genome=genome)
    genes = gene_table(features, reading, path.name)
    cell_ids = [f"{samples[0].name}_{name}" for name in barcodes] if len(samples) > 1 else barcodes
    for sample in samples[1:]:
        cell_ids += [f"{sample.name}_{name}" for name in tenx.read_matrix(sample, genome)[0]]
    about = [] if len(samples) == 1 else [f"{len(samples)} samples: {', '.join(s.name for s in samples)}"]
    return Description(
        path=path,
        kind="10x",
        cell_ids=cell_ids,
        judged={"matrix": judge(matrix, np.arange(len(barcodes)))},
        matrix="matrix",
        genes=replace(genes, genomes=dict.fromkeys(genomes, 0) or genes.genomes),
        reading=reading,
        genes_detected=genes_detected(matrix),
        remarks=[*about, "labels of the cells come from a table beside it (.csv, .tsv): one more input"],
    )


def _reading(features: pd.DataFrame, where: str) -> Reading:
    """Settings without which a table of features is refused: the largest genome, where there are several."""
    types = feature_types(features)
    genes = features if types is None else features[are_genes(types, where)[0]]
    _, genomes = genomes_of(genes)
    sizes = pd.Series(genomes[genomes != ""]).value_counts()
    return Reading(genome=str(sizes.index[0])) if len(sizes) > 1 else Reading()


def _most_useful(judged: Mapping[str, Fingerprint]) -> str:
    """The first matrix of log-normalised, else of normalised values, else X."""
    kinds = (kinds for values, kinds in ACCEPTED.items() if values != "counts")
    usable = (name for accepted in kinds for name, seen in judged.items() if seen.kind in accepted)
    return next(usable, "X")
