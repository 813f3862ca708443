"""Small 10x matrices of every layout, all of the same counts."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
from scipy import io, sparse

GENES = ["TP53", "CD3E", "MT-ND1", "ACTB", "ACTB"]
IDS = [f"ENSG0000000000{i}" for i in range(5)]
COUNTS = np.random.default_rng(0).poisson(1.5, (7, 5)) + np.eye(7, 5, dtype=int)
BARCODES = [f"AAC{i}-1" for i in range(7)]


def write_triplet(folder: Path, prefix: str = "", compressed: bool = True, version: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    end = ".gz" if compressed else ""
    opened = gzip.open if compressed else open
    listed = "features" if version == 3 else "genes"
    with opened(folder / f"{prefix}matrix.mtx{end}", "wb") as stream:
        io.mmwrite(stream, sparse.coo_matrix(COUNTS.T), field="integer")
    with opened(folder / f"{prefix}barcodes.tsv{end}", "wt") as stream:
        stream.writelines(f"{barcode}\n" for barcode in BARCODES)
    with opened(folder / f"{prefix}{listed}.tsv{end}", "wt") as stream:
        kind = "\tGene Expression" if version == 3 else ""
        stream.writelines(f"{gene}\t{name}{kind}\n" for gene, name in zip(IDS, GENES, strict=True))


def write_h5(path: Path, version: int = 3, protein: bool = False) -> None:
    counts = np.hstack([COUNTS, 100 + COUNTS[:, :1]]) if protein else COUNTS
    ids, names = [*IDS, "CD3_TotalSeq"][: counts.shape[1]], [*GENES, "CD3"][: counts.shape[1]]
    values = sparse.csc_matrix(counts.T)
    text = h5py.string_dtype()
    with h5py.File(path, "w") as stored:
        group = stored.create_group("matrix" if version == 3 else "GRCh38")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(values, name)
        group["shape"] = values.shape
        group["barcodes"] = np.array(BARCODES, dtype="S")
        if version == 3:
            kinds = ["Gene Expression"] * 5 + ["Antibody Capture"] * protein
            for name, held in (("id", ids), ("name", names), ("feature_type", kinds)):
                group[f"features/{name}"] = np.array(held, dtype=text)
        else:
            group["genes"], group["gene_names"] = np.array(ids, dtype=text), np.array(names, dtype=text)


def write_genomes(path: Path, version: int) -> None:
    """A file of two genomes: with prefixes in one matrix, or of version 2, with a matrix for each."""
    text = h5py.string_dtype()
    mouse = [name.capitalize() for name in GENES]
    with h5py.File(path, "w") as stored:
        if version == 3:
            groups = {"matrix": (np.hstack([COUNTS, COUNTS + 1]), [f"GRCh38_{n}" for n in GENES])}
            groups["matrix"][1].extend(f"mm10___{n}" for n in mouse)
        else:
            groups = {"GRCh38": (COUNTS, GENES), "mm10": (COUNTS + 1, mouse)}
        for name, (counts, names) in groups.items():
            group, values = stored.create_group(name), sparse.csc_matrix(counts.T)
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(values, part)
            group["shape"], group["barcodes"] = values.shape, np.array(BARCODES, dtype="S")
            held = np.array(names, dtype=text)
            if version == 3:
                group["features/id"], group["features/name"] = held, held
                group["features/feature_type"] = np.array(["Gene Expression"] * len(names), dtype=text)
            else:
                group["genes"], group["gene_names"] = held, held
