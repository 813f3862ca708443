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

from layerscope.cells.filters import open_compressed
from layerscope.cells.formats import what_hdf5_is
from layerscope.cells.labels import among
from layerscope.cells.matrix import ReorderedRows, RowMatrix, StoredRows, Triplets
from layerscope.cells.readers.columns import Columns
from layerscope.cells.readers.source import SourceCells, source_cells
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError

TRIPLET = re.compile(r"(?P<sample>.*?)_?matrix\.mtx(\.gz)?$")
PART = re.compile(r"(barcodes|features|genes)\.tsv(\.gz)?$")
TABLE = re.compile(r"\.(csv|tsv|txt)(\.gz)?$")
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
    samples, tables = sort_inputs([Path(path) for path in paths])
    annotations = _read_annotations(tables)
    return [_read_sample(sample, len(samples) > 1, annotations, settings) for sample in samples]


def sort_inputs(paths: Sequence[Path]) -> tuple[list[Sample], list[Path]]:
    """Tell the matrices among the inputs from the tables about their cells."""
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
        elif path.suffix == ".h5" or h5py.is_hdf5(path):
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
    barcodes, features, matrix = read_matrix(sample, settings.genome)
    cell_ids = [f"{sample.name}_{barcode}" for barcode in barcodes] if several else barcodes
    known, table = _annotated(sample, cell_ids, barcodes, annotations)
    columns = Columns(
        sample.name, list(table.columns), lambda column: table[column], not_missing=settings.not_missing
    )
    annotated = [("annotation", "in the table of cells", known)] if annotations is not None else []
    cells = source_cells(columns, cell_ids, features, matrix, "matrix", settings, annotated)
    if several and "batch" not in cells.obs and "batch" not in settings.columns:
        cells.obs["batch"] = sample.name
    return cells


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


def read_matrix(sample: Sample, genome: str | None = None) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    """Barcodes, features (``ensembl_id``, ``symbol``, ``type``) and matrix of a sample (of a genome)."""
    return _read_triplet(sample) if TRIPLET.search(sample.path.name) else _read_h5(sample, genome)


def _features(ids: Sequence[str], names: Sequence[str], **more: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"ensembl_id": ids, "symbol": names, **more}, index=pd.Index(names, dtype=object))


def _read_h5(sample: Sample, genome: str | None) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    """Read a 10x .h5 file; scanpy would hold the whole matrix in memory."""
    file = open_compressed(sample.path)
    group = file["matrix"] if "matrix" in file else _of_genome(file, sample, genome)
    if "features" in group:
        parts = {"id": "ids", "name": "names", "feature_type": "type", "genome": "genome"}
        read = {
            key: _text(group["features"][part]) for part, key in parts.items() if part in group["features"]
        }
    else:
        read = {"ids": _text(group["genes"]), "names": _text(group["gene_names"])}
        read["genome"] = [group.name.lstrip("/")] * len(read["ids"])
    n_genes, n_cells = map(int, group["shape"][()])
    return _text(group["barcodes"]), _features(**read), StoredRows(group, (n_cells, n_genes))


def _text(stored: h5py.Dataset) -> list[str]:
    values: list[str] = stored.asstr()[()].tolist()
    return values


def genomes_in(sample: Sample) -> list[str]:
    """Genomes of which a file has a matrix each (version 2), that of most genes first; else none."""
    if TRIPLET.search(sample.path.name):
        return []
    with open_compressed(sample.path) as file:
        groups = {} if "matrix" in file else _genomes(file)
        return sorted(groups, key=lambda name: -len(groups[name]["genes"])) if len(groups) > 1 else []


def _genomes(file: h5py.File) -> dict[str, h5py.Group]:
    return {
        name: group for name, group in file.items() if isinstance(group, h5py.Group) and "barcodes" in group
    }


def _of_genome(file: h5py.File, sample: Sample, genome: str | None) -> h5py.Group:
    """The matrix of a genome in a file of version 2, which has one for each."""
    genomes = _genomes(file)
    if not genomes:
        what = what_hdf5_is(file) or f"found the groups {', '.join(file) or 'none'}"
        raise DataError(f"{sample.path.name}: expected a 10x matrix of one genome, {what}")
    if genome is None and len(genomes) > 1:
        sizes = ", ".join(f"{name} ({len(group['genes']):,} genes)" for name, group in genomes.items())
        raise ConfigError(
            f"{sample.path.name}: matrices of {len(genomes)} genomes: {sizes}. Choose one: "
            f"`genome: {next(iter(genomes))}`"
        )
    for name, group in genomes.items():
        if genome is None or name.casefold() == genome.casefold():
            return group
    raise ConfigError(
        f"{sample.path.name}: no genome {genome!r}; {among(str(genome), genomes)}. Mend `genome`"
    )


def _read_triplet(sample: Sample) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    barcodes = _lines(_beside(sample, "barcodes"))[0].tolist()
    listed = _lines(_beside(sample, "features", "genes"))
    names = listed[min(1, listed.shape[1] - 1)]
    more = {"type": listed[2].tolist()} if listed.shape[1] > 2 else {}
    features = _features(listed[0].tolist(), names.tolist(), **more)
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
