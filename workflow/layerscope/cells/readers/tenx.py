"""10x Genomics matrices: ``matrix.mtx`` with its barcodes and features, and ``.h5``, of either version."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import h5py
import numpy as np
import pandas as pd

from layerscope.cells.genes import identify
from layerscope.cells.labels import among
from layerscope.cells.matrix import ChosenColumns, CsrRows, RowMatrix, SpooledRows, Triplets
from layerscope.cells.readers.source import Columns, SourceCells, kept_by, standard_obs, subset_steps
from layerscope.cells.settings import CellSettings
from layerscope.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIPLET = re.compile(r"(?P<sample>.*?)_?matrix\.mtx(\.gz)?$")
TABLE = re.compile(r"\.(csv|tsv|txt)(\.gz)?$")
GENE_EXPRESSION = "Gene Expression"
LINES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Sample:
    """One matrix of a 10x run: its name and where it lies."""

    name: str
    path: Path


def read(paths: Sequence[str | Path], settings: CellSettings) -> list[SourceCells]:
    """Read 10x matrices, and tables about their cells.

    Parameters
    ----------
    paths
        Folders that hold ``[SAMPLE_]matrix.mtx[.gz]`` with ``barcodes`` and ``features`` (or ``genes``)
        beside it, such files themselves, or ``.h5`` files; and tables (``.csv``, ``.tsv``) with one row per
        cell, the cell ids in the first column, for everything that the settings name as a column. Of several
        samples a cell's id is ``SAMPLE_BARCODE``, and ``batch`` is the sample unless it is mapped.
    settings
        See :class:`layerscope.cells.settings.CellSettings`.

    Raises
    ------
    DataError
        If a file is missing or of another kind.
    """
    samples, tables = _sort_inputs([Path(path) for path in paths])
    annotations = _read_annotations(tables)
    return [_read_sample(sample, len(samples) > 1, annotations, settings) for sample in samples]


def _sort_inputs(paths: Sequence[Path]) -> tuple[list[Sample], list[Path]]:
    samples: list[Sample] = []
    tables: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = [_sample(inside) for inside in sorted(path.iterdir()) if TRIPLET.search(inside.name)]
            if not found:
                raise DataError(f"{path.name}: no matrix.mtx or matrix.mtx.gz in this folder")
            samples += found
        elif not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        elif TRIPLET.search(path.name):
            samples.append(_sample(path))
        elif path.suffix == ".h5":
            samples.append(Sample(path.stem, path))
        elif TABLE.search(path.name) and not _part_of_triplet(path):
            tables.append(path)
        elif not _part_of_triplet(path):
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
    found = TRIPLET.search(path.name)
    prefix = found["sample"] if found else ""
    return Sample(prefix or path.parent.name, path)


def _part_of_triplet(path: Path) -> bool:
    return bool(re.search(r"(barcodes|features|genes)\.tsv(\.gz)?$", path.name))


def _read_annotations(tables: Sequence[Path]) -> pd.DataFrame | None:
    if not tables:
        return None
    read = []
    for path in tables:
        separator = "," if ".csv" in path.name else "\t"
        table = pd.read_csv(path, sep=separator, index_col=0, dtype=str, keep_default_na=False)
        table.index = table.index.astype(str)
        if not table.index.is_unique:
            few = ", ".join(table.index[table.index.duplicated()][:3])
            raise DataError(f"{path.name}: cell ids (the first column) repeat, such as {few}")
        read.append(table)
    return pd.concat(read)


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
    try:
        stored = h5py.File(sample.path, "r")
    except OSError as error:
        raise DataError(f"{sample.path}: not a readable HDF5 file") from error
    group = stored["matrix"] if "matrix" in stored else _only_genome(stored, sample)
    if "features" in group:
        held = group["features"]
        features = _features(*(held[key].asstr()[()].tolist() for key in ("id", "name", "feature_type")))
    else:
        features = _features(
            group["genes"].asstr()[()].tolist(), group["gene_names"].asstr()[()].tolist(), None
        )
    n_genes, n_cells = (int(size) for size in group["shape"][()])
    matrix = CsrRows(group["data"], group["indices"], group["indptr"], (n_cells, n_genes))
    return group["barcodes"].asstr()[()].tolist(), features, matrix


def _only_genome(stored: h5py.File, sample: Sample) -> h5py.Group:
    genomes = [name for name in stored if isinstance(stored[name], h5py.Group) and "barcodes" in stored[name]]
    if len(genomes) != 1:
        found = f"{len(genomes)} genomes" if genomes else f"the groups {', '.join(stored) or 'none'}"
        raise DataError(f"{sample.path.name}: expected a 10x matrix of one genome, found {found}")
    return stored[genomes[0]]


def _read_triplet(sample: Sample) -> tuple[list[str], pd.DataFrame, RowMatrix]:
    barcodes = _lines(_beside(sample, "barcodes"))[0].tolist()
    listed = _lines(_beside(sample, "features", "genes"))
    names = listed[1] if listed.shape[1] > 1 else listed[0]
    types = listed[2].tolist() if listed.shape[1] > 2 else None
    features = _features(listed[0].tolist(), names.tolist(), types)
    with _opened(sample.path) as stream:
        banner, sizes = _header(stream)
    if sizes[:2] != (len(features), len(barcodes)):
        raise DataError(
            f"{sample.path.name}: the matrix is {sizes[0]} x {sizes[1]}, but there are {len(features)} "
            f"features and {len(barcodes)} barcodes"
        )
    dtype = np.dtype(np.int32 if "integer" in banner or "pattern" in banner else np.float64)
    matrix = SpooledRows(lambda: _triplets(sample, dtype, sizes[2]), (len(barcodes), len(features)), dtype)
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


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a text or gzip file; what is damaged in it while it is read becomes one message."""
    with path.open("rb") as raw:
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        try:
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error, pd.errors.ParserError, ValueError) as error:
            raise DataError(f"{path.name}: truncated or damaged ({error})") from error


def _header(stream: IO[bytes]) -> tuple[str, tuple[int, int, int]]:
    banner = stream.readline().decode("ascii", errors="replace").lower()
    if not banner.startswith("%%matrixmarket matrix coordinate"):
        raise ValueError(f"expected a MatrixMarket coordinate matrix, found a first line {banner[:40]!r}")
    line = stream.readline()
    while line.startswith(b"%"):
        line = stream.readline()
    n_rows, n_columns, n_entries = (int(number) for number in line.split())
    return banner, (n_rows, n_columns, n_entries)


def _triplets(sample: Sample, dtype: np.dtype[np.generic], expected: int) -> Triplets:
    n_read = 0
    with _opened(sample.path) as stream:
        _header(stream)
        chunks = pd.read_csv(stream, sep=r"\s+", header=None, chunksize=LINES_AT_ONCE)
        for chunk in chunks:
            n_read += len(chunk)
            values = chunk[2].to_numpy(dtype=dtype) if 2 in chunk else np.ones(len(chunk), dtype=dtype)
            yield chunk[1].to_numpy() - 1, chunk[0].to_numpy() - 1, values
    if n_read != expected:
        raise DataError(f"{sample.path.name}: truncated: {n_read:,} of {expected:,} entries")
