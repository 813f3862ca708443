"""10x Genomics matrices: ``matrix.mtx`` with its barcodes and features, and ``.h5``, of either version."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.io import mminfo

from layerscope.cells.genes import identify
from layerscope.cells.h5ad_file import open_h5ad
from layerscope.cells.labels import among
from layerscope.cells.matrix import ChosenColumns, ReorderedRows, RowMatrix, StoredRows, Triplets
from layerscope.cells.readers.source import Columns, SourceCells, kept_by, standard_obs, subset_steps
from layerscope.cells.settings import CellSettings
from layerscope.errors import DataError

TRIPLET = re.compile(r"(?P<sample>.*?)_?matrix\.mtx(\.gz)?$")
PART = re.compile(r"(barcodes|features|genes)\.tsv(\.gz)?$")
TABLE = re.compile(r"\.(csv|tsv|txt)(\.gz)?$")
GENE_EXPRESSION = "Gene Expression"
LINES_AT_ONCE = 1 << 22
DAMAGE = (ValueError, EOFError, gzip.BadGzipFile, zlib.error)


@dataclass(frozen=True)
class Sample:
    """One matrix of a 10x run: its name and where it lies."""

    name: str
    path: Path


def read(paths: Sequence[str | Path], settings: CellSettings) -> list[SourceCells]:
    """Read 10x matrices, and tables about their cells.

    Inputs are folders with ``[SAMPLE_]matrix.mtx[.gz]``, ``barcodes`` and ``features`` (or ``genes``), such
    files themselves, or ``.h5`` files; and tables (``.csv``, ``.tsv``) with one row per cell, the cell ids in
    the first column. Of several samples a cell's id is ``SAMPLE_BARCODE``, and ``batch`` is the sample unless
    it is mapped.
    """
    samples, tables = _sort_inputs([Path(path) for path in paths])
    annotations = _read_annotations(tables)
    return [_read_sample(sample, len(samples) > 1, annotations, settings) for sample in samples]


def _sort_inputs(paths: Sequence[Path]) -> tuple[list[Sample], list[Path]]:
    samples: list[Sample] = []
    tables: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [_sample(file) for file in sorted(path.iterdir()) if TRIPLET.search(file.name)]
            if not inside:
                raise DataError(f"{path.name}: no matrix.mtx or matrix.mtx.gz in this folder")
            samples += inside
        elif not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        elif TRIPLET.search(path.name):
            samples.append(_sample(path))
        elif path.suffix == ".h5":
            samples.append(Sample(path.stem, path))
        elif TABLE.search(path.name) and not PART.search(path.name):
            tables.append(path)
        elif not PART.search(path.name):
            raise DataError(
                f"{path.name}: expected matrix.mtx[.gz], a folder of it, .h5, or a table (.csv, .tsv)"
            )
    if not samples:
        raise DataError("10x: no matrix.mtx[.gz] and no .h5 among the inputs")
    names = [sample.name for sample in samples]
    if len(set(names)) < len(names):
        raise DataError(f"10x: samples must have different names, found {', '.join(sorted(names))}")
    return samples, tables


def _sample(path: Path) -> Sample:
    prefix = TRIPLET.sub(r"\g<sample>", path.name)
    return Sample(prefix or path.parent.name, path)


def _read_annotations(paths: Sequence[Path]) -> pd.DataFrame | None:
    if not paths:
        return None
    tables = []
    for path in paths:
        separator = "," if ".csv" in path.name else "\t"
        table = pd.read_csv(path, sep=separator, index_col=0, dtype=str, keep_default_na=False)
        table.index = table.index.astype(str)
        if not table.index.is_unique:
            few = ", ".join(table.index[table.index.duplicated()][:3])
            raise DataError(f"{path.name}: cell ids (the first column) repeat, such as {few}")
        tables.append(table)
    return pd.concat(tables)


def _read_sample(
    sample: Sample, several: bool, annotations: pd.DataFrame | None, settings: CellSettings
) -> SourceCells:
    barcodes, features, matrix = _read_h5(sample) if sample.path.suffix == ".h5" else _read_triplet(sample)
    cell_ids = [f"{sample.name}_{barcode}" for barcode in barcodes] if several else barcodes
    known, table = _annotated(sample, cell_ids, barcodes, annotations)
    columns = Columns(sample.name, list(table.columns), lambda column: table[column])
    annotated = [("annotation", "in the table of cells", known)] if annotations is not None else []
    left_out = [*annotated, *subset_steps(columns, settings)]
    obs = standard_obs(cell_ids, columns, settings, kept_by(left_out, len(cell_ids)))
    if several and "batch" not in obs and "batch" not in settings.columns:
        obs["batch"] = sample.name
    expressed = np.flatnonzero((features["type"] == GENE_EXPRESSION).to_numpy())
    mapping = settings.genes or {"symbol": "symbol", "ensembl_id": "ensembl_id"}
    var = identify(features.index[expressed].tolist(), features.iloc[expressed], mapping, sample.name)
    return SourceCells(
        name=sample.name,
        obs=obs,
        var=var,
        matrix=ChosenColumns(matrix, expressed),
        matrix_name="matrix",
        left_out=left_out,
        absent=columns.absent,
    )


def _annotated(
    sample: Sample, cell_ids: Sequence[str], barcodes: Sequence[str], annotations: pd.DataFrame | None
) -> tuple[np.ndarray, pd.DataFrame]:
    if annotations is None:
        return np.ones(len(cell_ids), dtype=bool), pd.DataFrame(index=list(cell_ids))
    best = max((cell_ids, barcodes), key=lambda ids: int(annotations.index.isin(ids).sum()))
    known = np.isin(np.array(best, dtype=str), annotations.index.to_numpy(dtype=str))
    if not known.any():
        raise DataError(
            f"{sample.name}: no cell of the table is in the matrix; the table has ids such as "
            f"{annotations.index[0]!r}, the matrix {cell_ids[0]!r}"
        )
    return known, annotations.reindex(list(best)).fillna("")


def _features(ids: Sequence[str], names: Sequence[str], types: Sequence[str] | None) -> pd.DataFrame:
    kinds = list(types) if types is not None else [GENE_EXPRESSION] * len(ids)
    return pd.DataFrame(
        {"ensembl_id": ids, "symbol": names, "type": kinds}, index=pd.Index(names, dtype=object)
    )


def _read_h5(sample: Sample) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    """Read a 10x .h5 file; scanpy would hold the whole matrix in memory."""
    file = open_h5ad(sample.path)
    group = file["matrix"] if "matrix" in file else _only_genome(file, sample)
    if "features" in group:
        columns = [group["features"][key] for key in ("id", "name", "feature_type")]
    else:
        columns = [group["genes"], group["gene_names"]]
    ids, names, *types = (column.asstr()[()].tolist() for column in columns)
    n_genes, n_cells = map(int, group["shape"][()])
    matrix = StoredRows(group, (n_cells, n_genes))
    return group["barcodes"].asstr()[()].tolist(), _features(ids, names, types[0] if types else None), matrix


def _only_genome(file: h5py.File, sample: Sample) -> h5py.Group:
    genomes = [group for group in file.values() if isinstance(group, h5py.Group) and "barcodes" in group]
    if len(genomes) != 1:
        what = f"{len(genomes)} genomes" if genomes else f"the groups {', '.join(file) or 'none'}"
        raise DataError(f"{sample.path.name}: expected a 10x matrix of one genome, found {what}")
    return genomes[0]


def _read_triplet(sample: Sample) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    barcodes = _lines(_beside(sample, "barcodes"))[0].tolist()
    listed = _lines(_beside(sample, "features", "genes"))
    names = listed[min(1, listed.shape[1] - 1)]
    types = listed[2].tolist() if listed.shape[1] > 2 else None
    features = _features(listed[0].tolist(), names.tolist(), types)
    try:
        n_genes, n_cells, n_entries, *_ = mminfo(sample.path)
        if (n_genes, n_cells) != (len(features), len(barcodes)):
            raise ValueError(
                f"the matrix is {n_genes} x {n_cells}, but there are {len(features)} features and "
                f"{len(barcodes)} barcodes"
            )
        triplets = _triplets(sample.path, n_entries)
        matrix = ReorderedRows(triplets, (n_cells, n_genes), np.dtype(np.float64), sample.path.name)
    except DAMAGE as error:
        raise DataError(f"{sample.path.name}: truncated or damaged ({error})") from error
    return barcodes, features, matrix


def _beside(sample: Sample, *kinds: str) -> Path:
    stem = re.sub(r"matrix\.mtx(\.gz)?$", "", sample.path.name)
    tried = [sample.path.with_name(f"{stem}{kind}.tsv{end}") for kind in kinds for end in (".gz", "")]
    for path in tried:
        if path.is_file():
            return path
    beside = sorted(path.name for path in sample.path.parent.iterdir())
    raise DataError(f"{sample.path.name}: no {tried[0].name} beside it; {among(tried[0].name, beside)}")


def _lines(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=3)


def _triplets(path: Path, n_entries: int) -> Triplets:
    """Entries of a MatrixMarket file of genes x cells, as cells x genes."""
    names = ["gene", "cell", "value"]
    chunks = pd.read_csv(path, sep=r"\s+", comment="%", names=names, chunksize=LINES_AT_ONCE)
    n_lines = -1  # the first line holds the sizes
    for number, chunk in enumerate(chunks):
        n_lines += len(chunk)
        entries = chunk if number else chunk.iloc[1:]
        values = entries["value"].fillna(1).to_numpy(dtype=np.float64)  # a pattern has no values
        yield entries["cell"].to_numpy() - 1, entries["gene"].to_numpy() - 1, values
    if n_lines != n_entries:
        raise ValueError(f"{n_lines:,} of {n_entries:,} entries")
