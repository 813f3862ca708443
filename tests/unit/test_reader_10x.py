"""10x matrices of every layout become the same cells."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path

import cell_files
import h5py
import numpy as np
import pandas as pd
import pytest
from tenx_examples import BARCODES, COUNTS, GENES, IDS, write_genomes, write_h5, write_triplet

from layerscope.cells.canonical import provenance
from layerscope.errors import ConfigError, DataError

prepared = partial(cell_files.prepared, kind="10x")


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize(("compressed", "version"), [(True, 3), (False, 3), (False, 2)])
def test_triplets_are_read(tmp_path, compressed, version, as_folder):
    write_triplet(tmp_path / "run", compressed=compressed, version=version)
    cells = prepared([tmp_path / "run"] if as_folder else sorted((tmp_path / "run").iterdir()), tmp_path)
    assert np.array_equal(cells.X.toarray(), COUNTS)
    assert list(cells.obs_names) == BARCODES
    assert list(cells.var["ensembl_id"]) == IDS
    assert list(cells.var["symbol"]) == GENES
    assert list(cells.var_names) == [*GENES[:4], "ACTB-1"]


@pytest.mark.parametrize("version", [3, 2])
def test_h5_files_are_read(tmp_path, version):
    write_h5(tmp_path / "run.h5", version)
    assert np.array_equal(prepared([tmp_path / "run.h5"], tmp_path).X.toarray(), COUNTS)


def test_a_total_that_no_table_gives_is_asked_for_and_not_forgotten(tmp_path):
    write_triplet(tmp_path / "run")
    with pytest.raises(DataError, match=r"'total_counts'.*`recover_counts: total`"):
        prepared([tmp_path / "run"], tmp_path, recover_counts={})


def test_several_samples_get_their_names(tmp_path):
    write_triplet(tmp_path / "geo", prefix="GSM1_day2_")
    write_triplet(tmp_path / "geo", prefix="GSM2_day4_")
    cells = prepared([tmp_path / "geo"], tmp_path)
    assert np.array_equal(cells.X.toarray(), np.vstack([COUNTS, COUNTS]))
    assert list(cells.obs["batch"]) == ["GSM1_day2"] * 7 + ["GSM2_day4"] * 7
    assert cells.obs_names[7] == "GSM2_day4_AAC0-1"


def test_a_table_gives_the_cells_their_labels(tmp_path):
    write_triplet(tmp_path / "run")
    table = pd.DataFrame({"barcode": BARCODES[1:5], "day": ["d2", "d4", "d4", "d2"]})
    table.to_csv(tmp_path / "cells.csv", index=False)
    cells = prepared(
        [tmp_path / "run", tmp_path / "cells.csv"], tmp_path, columns={"time": "day"}, subset={"day": "d4"}
    )
    assert list(cells.obs_names) == BARCODES[2:4]
    assert list(cells.obs["time"]) == ["d4", "d4"]
    table.assign(barcode="unknown").iloc[:1].to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(DataError, match=r"no cell .*'unknown'"):
        prepared([tmp_path / "run", tmp_path / "cells.csv"], tmp_path)


def shortened(path: Path, n_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-n_bytes])


def zipped(path: Path) -> Path:
    made = path.with_name(f"{path.name}.gz")
    made.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return made


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: shortened(run / "matrix.mtx", 12), r"matrix\.mtx: .*damaged \(28 of 30"),
        (lambda run: shortened(zipped(run / "matrix.mtx"), 20), r"matrix\.mtx\.gz: .*damaged"),
        (lambda run: (run / "matrix.mtx").write_text("gene\tcell\n"), "damaged"),
        (lambda run: (run / "barcodes.tsv").write_text("AAC0-1\n"), "5 x 7, .* 1 barcodes"),
        (lambda run: (run / "barcodes.tsv").unlink(), r"no barcodes\.tsv\.gz beside it"),
    ],
)
def test_damage_is_named(tmp_path, spoil, words):
    write_triplet(tmp_path / "run", compressed=False)
    spoil(tmp_path / "run")
    with pytest.raises(DataError, match=words):
        prepared([tmp_path / "run"], tmp_path)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("empty", Path.mkdir, r"empty: no matrix\.mtx"),
        ("notes.pdf", Path.touch, r"notes\.pdf: expected matrix\.mtx"),
        ("absent", lambda path: None, "no such file or folder"),
        ("odd.h5", lambda path: h5py.File(path, "w").close(), "one genome, found the groups none"),
    ],
)
def test_inputs_of_another_kind_are_named(tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(DataError, match=words):
        prepared([tmp_path / name], tmp_path)


def test_the_gene_names_of_v2_files_that_are_also_the_ids_are_symbols(tmp_path):
    write_triplet(tmp_path / "a", version=2)
    (tmp_path / "a" / "genes.tsv.gz").unlink()
    (tmp_path / "a" / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in GENES))
    cells = prepared([tmp_path / "a"], tmp_path)
    assert cells.var["symbol"].tolist() == GENES and "ensembl_id" not in cells.var
    assert any("no Ensembl ids" in said for said in provenance(cells)["seen"])


@pytest.mark.parametrize("version", [2, 3])
def test_of_two_genomes_one_is_chosen_by_name(tmp_path, version):
    write_genomes(tmp_path / "a.h5", version)
    with pytest.raises(ConfigError, match=r"2 genomes.*`genome: GRCh38`"):
        prepared([tmp_path / "a.h5"], tmp_path)
    cells = prepared([tmp_path / "a.h5"], tmp_path, genome="GRCh38")
    assert cells.var["symbol"].tolist() == GENES
    assert np.array_equal(cells.X.toarray(), COUNTS)
    mouse = prepared([tmp_path / "a.h5"], tmp_path, genome="MM10")
    assert np.array_equal(mouse.X.toarray(), COUNTS + 1)
    with pytest.raises(ConfigError, match="genome 'hg19'"):
        prepared([tmp_path / "a.h5"], tmp_path, genome="hg19")
