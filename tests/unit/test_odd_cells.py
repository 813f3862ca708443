"""Files with odd contents: the right cells, or one message that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import cell_files
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from layerscope.errors import DataError, LayerscopeError

COUNTS = np.random.default_rng(0).poisson(0.8, (30, 12)).astype(np.float32) + np.eye(30, 12, dtype=np.float32)


def made(path: Path, counts: np.ndarray = COUNTS, **obs: object) -> Path:
    return cell_files.write_h5ad(path, counts, obs=obs)


def prepared(source: Path, **settings: object) -> anndata.AnnData:
    return cell_files.prepared(source, source.parent / "out", **settings)


@pytest.mark.parametrize("counts", [COUNTS[:1], np.ones((5, 1), dtype=np.float32)])
def test_one_cell_or_one_gene_is_enough(tmp_path, counts):
    assert prepared(made(tmp_path / "a.h5ad", counts)).shape == counts.shape


def test_names_may_be_of_any_alphabet_and_hold_anything(tmp_path):
    source = made(tmp_path / "ä b'c.h5ad", **{"тип клетки": ["стволовая", "../x; rm -rf"] * 15})
    cells = prepared(source, columns={"cell_type": "тип клетки"}, root={"cell_type": "стволовая"})
    assert set(cells.obs["cell_type"]) == {"стволовая", "../x; rm -rf"}
    assert cells.obs["is_root"].sum() == 15


@pytest.mark.parametrize("root", [2, 2.0, "2", [2]])
@pytest.mark.parametrize("days", [np.array([2.0, 10.0, 4.0] * 10), ["2.0", "10", "4"] * 10])
def test_times_match_however_their_numbers_are_written(tmp_path, days, root):
    cells = prepared(made(tmp_path / "a.h5ad", day=days), columns={"time": "day"}, root={"time": root})
    assert list(cells.obs["time"].cat.categories) == ["2", "4", "10"]
    assert cells.obs["is_root"].sum() == 10


def test_labels_that_differ_by_spaces_alone_are_one(tmp_path):
    source = made(tmp_path / "a.h5ad", kind=pd.Categorical(["A", "A ", " B"] * 10))
    cells = prepared(source, columns={"cell_type": "kind"}, root={"cell_type": "A"})
    assert set(cells.obs["cell_type"]) == {"A", "B"}
    assert cells.obs["is_root"].sum() == 20


def test_unused_categories_are_no_labels(tmp_path):
    target = pd.Categorical(["a", "b"] * 15, categories=["a", "b", "ctrl"])
    source = made(tmp_path / "a.h5ad", target=target)
    settings = {"task": "perturbation", "columns": {"perturbation": "target"}, "control": "ctrl"}
    with pytest.raises(DataError, match="no cell is labelled 'ctrl' in column 'target'; there are: a, b"):
        prepared(source, **settings)


def test_names_of_genes_are_trimmed(tmp_path):
    source = cell_files.write_h5ad(tmp_path / "a.h5ad", COUNTS, [f" GENE{i} " for i in range(12)])
    assert prepared(source).var["symbol"].tolist() == [f"GENE{i}" for i in range(12)]


def test_unsorted_and_repeated_entries_add_up(tmp_path):
    source = made(tmp_path / "a.h5ad")
    backwards = sparse.csr_matrix(COUNTS[::-1])  # so that its reversed entries are those of COUNTS
    counts = backwards.data[::-1]
    content = {
        "data": np.stack([np.ceil(counts / 2), np.floor(counts / 2)], axis=1).ravel(),
        "indices": np.repeat(backwards.indices[::-1], 2),
        "indptr": 2 * sparse.csr_matrix(COUNTS).indptr,
    }
    with h5py.File(source, "r+") as stored:
        for name, values in content.items():
            del stored["X"][name]
            stored["X"][name] = values
    assert np.array_equal(prepared(source).X.toarray(), COUNTS)


def test_words_are_no_pseudotime(tmp_path):
    columns = {"reference_pseudotime": "dpt"}
    source = made(tmp_path / "a.h5ad", dpt=["0.5", "", "inf"] * 10)
    assert prepared(source, columns=columns).obs["reference_pseudotime"].tolist()[::2][:2] == [0.5, np.inf]
    source = made(tmp_path / "b.h5ad", dpt=["early", "late", "0.5"] * 10)
    with pytest.raises(DataError, match=r"'dpt' .*'early', 'late'"):
        prepared(source, columns=columns)


def test_old_files_keep_raw_under_another_name(tmp_path):
    source = made(tmp_path / "a.h5ad", np.log1p(COUNTS))
    with h5py.File(source, "r+") as stored, h5py.File(made(tmp_path / "raw.h5ad")) as raw:
        raw.copy("X", stored, "raw.X")
        raw.copy("var", stored, "raw.var")
    with pytest.raises(DataError, match=r"raw\.X .*`matrix: raw`"):
        prepared(source)
    assert np.array_equal(prepared(source, matrix="raw").X.toarray(), COUNTS)


def edited(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Make a file and change its content."""

    def make(path: Path) -> None:
        with h5py.File(made(path, batch=pd.Categorical(["x", "y"] * 15)), "r+") as stored:
            change(stored)

    return make


def replaced(name: str, values: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Make a file and put other values in the place of a dataset."""

    def replace(stored: h5py.File) -> None:
        before = stored[name][()]
        del stored[name]
        stored[name] = values(before)

    return edited(replace)


def _broken_chunk(path: Path) -> None:
    counts = np.random.default_rng(0).poisson(3, (200, 200)).astype(np.float32)
    cells = anndata.AnnData(counts, obs=pd.DataFrame(index=[f"c{i}" for i in range(200)]))
    cells.write_h5ad(path, compression="gzip")
    with h5py.File(path) as stored:
        info = stored["X"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[info.byte_offset + 30 : info.byte_offset + 80] = b"\xff" * 50
    path.write_bytes(bytes(content))


ODD: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: made(path, COUNTS[:0]), r"no cells in a\.h5ad"),
    (lambda path: made(path, COUNTS[:, :0]), r"a\.h5ad: there are no genes"),
    (edited(lambda file: file.__delitem__("X")), "no matrix 'X'; there are: none"),
    (edited(lambda file: file.__delitem__("obs/_index")), r"a\.h5ad: obs: this table has no index"),
    (edited(lambda file: file["uns"].__setitem__("layerscope", "mine")), "'layerscope'.*delete it"),
    (edited(lambda file: file["X"].attrs.__setitem__("shape", [30, 13])), "X is 30 x 13"),
    (replaced("X/indptr", lambda starts: starts[:-1]), r"a\.h5ad: X: a stored matrix is damaged"),
    (replaced("X/indices", lambda columns: np.full(len(columns), 99)), "12 columns, and .* column 99"),
    (replaced("obs/batch/codes", lambda codes: np.full(len(codes), 9)), "this column cannot be read"),
    (
        edited(lambda file: file["obs/batch"].attrs.update({"encoding-type": "awkward-array"})),
        "obs/batch: .*awk",
    ),
    (_broken_chunk, r"a\.h5ad: damaged HDF5 file"),
    (lambda path: made(path, np.where(COUNTS > 2, 3e8, COUNTS)), "above 16,777,216"),
]


@pytest.mark.parametrize(("make", "words"), ODD)
def test_what_is_wrong_is_said_in_one_message(tmp_path, make, words):
    make(tmp_path / "a.h5ad")
    with pytest.raises(LayerscopeError, match=words) as refusal:
        prepared(tmp_path / "a.h5ad")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out" / "cells.h5ad").exists()
