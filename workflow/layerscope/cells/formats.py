"""What a file is that is no h5ad file, and what to do with it."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import h5py

FROM_R = "write it as h5ad from R (zellkonverter::writeH5AD, SeuratDisk::Convert, sceasy)"
READ_LOOM = "read it with anndata.io.read_loom and write it with .write_h5ad"
READ_TEXT = (
    "read it with anndata.io.read_csv, turn it (.T) if its rows are genes, and write it with .write_h5ad"
)
FROM_PYTHON = "make an anndata.AnnData of it and write it with .write_h5ad"
ITS_FOLDER = "give the folder with its barcodes and features (`kind: 10x`)"
ITS_GENES = "write its modality of gene expression as h5ad"
MATRIX_INSTEAD = "give filtered_feature_bc_matrix.h5 instead"
UNPACK = "unpack it first"

ZARR_MARKS = {"zarr.json", ".zgroup"}  # files of which a zarr store has one
BY_NAME: tuple[tuple[str, str, str], ...] = (
    (r"\.(rds|rda|rdata|robj)(\.gz)?", "an R object", FROM_R),
    (r"\.h5seurat", "a file of SeuratDisk", FROM_R),
    (r"\.loom", "a loom file", READ_LOOM),
    (r"\.h5mu", "a MuData file", ITS_GENES),
    (r"\.mtx(\.gz)?", "a matrix without names", ITS_FOLDER),
    (r"\.(csv|tsv|txt|tab)(\.(gz|bz2|xz|zip))?", "a table of text", READ_TEXT),
    (r"\.(xlsx?|parquet|feather)", "a table", FROM_PYTHON),
    (r"\.(pkl|pickle|npz|npy|mat)", "an array or a Python object", FROM_PYTHON),
    (r"\.(h5ad|zarr|h5)\.(gz|bz2|xz|zip)", "a compressed file of cells", UNPACK),
    (r"\.(zip|tar|tgz|tar\.gz|7z)", "an archive", UNPACK),
    (r"\.(bam|fastq|fq)(\.gz)?", "sequencing reads", "count them first (Cell Ranger, STARsolo, alevin-fry)"),
)
"""Ends of names, what such files are, and what to do."""
BY_START: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "gzipped", "gunzip it first"),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"BZh", "compressed by bzip2", UNPACK),
    (b"\xfd7zXZ", "compressed by xz", UNPACK),
    (b"RDX", "an R object", FROM_R),
    (b"%%MatrixMarket", "a matrix without names", ITS_FOLDER),
    (b"version https://git-lfs", "a pointer to a file that was not fetched", "fetch it with git lfs pull"),
    (b"<", "a page of HTML or XML", "fetch the file again, by its own address"),
)
"""First bytes of files, what they are, and what to do."""
BY_PARTS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"row_attrs", "col_attrs", "matrix"}), "a loom file", READ_LOOM),
    (frozenset({"mod"}), "a MuData file", ITS_GENES),
    (frozenset({"assays", "cell.names"}), "a file of SeuratDisk", FROM_R),
    (frozenset({"barcode_idx", "feature_idx"}), "molecules of Cell Ranger", MATRIX_INSTEAD),
    (frozenset({"molecule_info"}), "molecules of Cell Ranger", MATRIX_INSTEAD),
)
"""Parts of HDF5 files, what they are, and what to do."""


def what_it_is(path: Path) -> str:
    """What a file or folder that is no h5ad file is, and what to do; ``""`` where that is unknown."""
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir())
        if ZARR_MARKS & set(inside):
            return "a zarr store: make an h5ad file of it with prepare_cells.py (`kind: h5ad`)"
        if any(re.search(r"matrix\.mtx(\.gz)?$", name) for name in inside):
            return "a folder with a 10x matrix: read it with `kind: 10x`"
        hint = next((name for name in inside if re.search(r"\.(h5|h5ad|zarr)$|_bc_matrix$", name)), "")
        near = f": perhaps give {path / hint}" if hint else ""
        return f"a folder, and neither a zarr store nor a 10x matrix{near}"
    with path.open("rb") as stream:
        start = stream.read(64).lstrip()
    by_name = ((what, remedy) for end, what, remedy in BY_NAME if re.search(end + "$", path.name, re.I))
    by_start = ((what, remedy) for magic, what, remedy in BY_START if start.startswith(magic))
    return next((f"{what}: {remedy}" for what, remedy in chain(by_name, by_start)), "")


def what_hdf5_is(file: h5py.File) -> str:
    """What an HDF5 file without tables of cells and genes is, and what to do; ``""`` if that is unknown."""
    for parts, what, remedy in BY_PARTS:
        if parts <= set(file):
            return f"it looks like {what}: {remedy}"
    if {"obs", "var"} <= set(file):
        return "it looks like an h5ad file: read it with `kind: h5ad`"
    if is_10x(file):
        return "it looks like a 10x matrix: read it with `kind: 10x`"
    return ""


def is_10x(file: h5py.File) -> bool:
    """Whether an HDF5 file is a 10x matrix of either version."""
    groups = [group for group in file.values() if isinstance(group, h5py.Group)]
    return any({"barcodes", "indptr", "data"} <= set(group) for group in groups)
