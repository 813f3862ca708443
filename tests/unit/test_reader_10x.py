"""10x matrices of every layout become the same cells."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from layerscope.cells.canonical import read_cells
from layerscope.cells.prepare import prepare
from layerscope.errors import DataError

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


def prepared(inputs: list[Path], tmp_path: Path, **settings: Any) -> anndata.AnnData:
    prepare(inputs, {"kind": "10x", **settings}, "blood", tmp_path / "out" / "cells.h5ad", tmp_path / "s.tsv")
    return read_cells(tmp_path / "out" / "cells.h5ad")


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize(("compressed", "version"), [(True, 3), (False, 3), (False, 2)])
def test_triplets_are_read(tmp_path: Path, compressed: bool, version: int, as_folder: bool) -> None:
    write_triplet(tmp_path / "run", compressed=compressed, version=version)
    cells = prepared([tmp_path / "run"] if as_folder else sorted((tmp_path / "run").iterdir()), tmp_path)
    assert np.array_equal(cells.X.toarray(), COUNTS)
    assert list(cells.obs_names) == BARCODES
    assert list(cells.var["ensembl_id"]) == IDS
    assert list(cells.var["symbol"]) == GENES
    assert list(cells.var_names) == [*GENES[:4], "ACTB-1"]


@pytest.mark.parametrize("version", [3, 2])
def test_h5_files_are_read(tmp_path: Path, version: int) -> None:
    write_h5(tmp_path / "run.h5", version)
    assert np.array_equal(prepared([tmp_path / "run.h5"], tmp_path).X.toarray(), COUNTS)


def test_features_that_are_no_genes_are_left_out(tmp_path: Path) -> None:
    write_h5(tmp_path / "run.h5", protein=True)
    cells = prepared([tmp_path / "run.h5"], tmp_path)
    assert np.array_equal(cells.X.toarray(), COUNTS)
    assert "CD3" not in set(cells.var["symbol"])


def test_several_samples_get_their_names(tmp_path: Path) -> None:
    write_triplet(tmp_path / "geo", prefix="GSM1_day2_")
    write_triplet(tmp_path / "geo", prefix="GSM2_day4_")
    cells = prepared([tmp_path / "geo"], tmp_path)
    assert np.array_equal(cells.X.toarray(), np.vstack([COUNTS, COUNTS]))
    assert list(cells.obs["batch"]) == ["GSM1_day2"] * 7 + ["GSM2_day4"] * 7
    assert cells.obs_names[7] == "GSM2_day4_AAC0-1"


def test_a_table_gives_the_cells_their_labels(tmp_path: Path) -> None:
    write_triplet(tmp_path / "run")
    table = pd.DataFrame({"barcode": BARCODES[1:5], "day": ["d2", "d4", "d4", "d2"]})
    table.to_csv(tmp_path / "cells.csv", index=False)
    cells = prepared(
        [tmp_path / "run", tmp_path / "cells.csv"], tmp_path, columns={"time": "day"}, subset={"day": "d4"}
    )
    assert list(cells.obs_names) == BARCODES[2:4]
    assert list(cells.obs["time"]) == ["d4", "d4"]
    table.assign(barcode="unknown").iloc[:1].to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(
        DataError, match="no cell of the table is in the matrix; the table has ids such as 'unknown'"
    ):
        prepared([tmp_path / "run", tmp_path / "cells.csv"], tmp_path)


def _cut_lines(run: Path) -> None:
    lines = (run / "matrix.mtx").read_text().splitlines(keepends=True)
    (run / "matrix.mtx").write_text("".join(lines[:-3]))


def _cut_gzip(run: Path) -> None:
    (run / "matrix.mtx.gz").write_bytes(gzip.compress((run / "matrix.mtx").read_bytes())[:-20])
    (run / "matrix.mtx").unlink()


def _other_sizes(run: Path) -> None:
    (run / "barcodes.tsv").write_text("AAC0-1\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut_lines, r"matrix\.mtx: truncated or damaged \(27 of 30 entries"),
        (_cut_gzip, r"matrix\.mtx\.gz: truncated or damaged"),
        (lambda run: (run / "matrix.mtx").write_text("gene\tcell\n"), "truncated or damaged"),
        (_other_sizes, "5 x 7, but there are 5 features and 1 barcodes"),
        (lambda run: (run / "barcodes.tsv").unlink(), r"no barcodes\.tsv\.gz beside it"),
    ],
)
def test_damage_is_named(tmp_path: Path, spoil: Callable[[Path], object], words: str) -> None:
    write_triplet(tmp_path / "run", compressed=False)
    spoil(tmp_path / "run")
    with pytest.raises(DataError, match=words):
        prepared([tmp_path / "run"], tmp_path)


def _no_genome(path: Path) -> None:
    with h5py.File(path, "w") as stored:
        stored["other"] = np.ones(3)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("empty", Path.mkdir, r"empty: no matrix\.mtx"),
        ("notes.pdf", Path.touch, r"notes\.pdf: expected matrix\.mtx"),
        ("absent", lambda path: None, "no such file or folder"),
        ("odd.h5", _no_genome, "one genome, found the groups other"),
    ],
)
def test_inputs_of_another_kind_are_named(
    tmp_path: Path, name: str, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(DataError, match=words):
        prepared([tmp_path / name], tmp_path)
