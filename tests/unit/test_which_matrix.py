"""Of several matrices of whole numbers the one that holds the cells' totals is named, or none."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest

from layerscope.cells.which_matrix import choose_counts, judge_all

TOTAL = np.random.default_rng(0).poisson(3.0, (60, 80)).astype(np.float32)
SPLICED = np.random.default_rng(1).binomial(TOTAL.astype(int), 0.7).astype(np.float32)
PARTS = {"ambiguous": np.minimum(TOTAL - SPLICED, 1), "spliced": SPLICED, "unspliced": TOTAL - SPLICED}


def logged(counts: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    return values


def chosen(tmp_path: Path, x: np.ndarray, **layers: np.ndarray) -> tuple[str, str]:
    anndata.AnnData(x, layers=layers).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        rows = np.arange(len(x))
        choice = choose_counts(file, judge_all(file, rows), rows)
    return choice.name, choice.words


@pytest.mark.parametrize("name", ["counts", "raw_counts", "Counts", "matrix", "umi_counts"])
def test_a_usual_name_is_preferred(tmp_path, name):
    assert chosen(tmp_path, logged(TOTAL), **PARTS, **{name: TOTAL}) == (f"layers/{name}", "")
    assert chosen(tmp_path, logged(SPLICED), **PARTS, **{name: TOTAL}) == (f"layers/{name}", "")


@pytest.mark.parametrize(
    "x", [logged(TOTAL), np.log2(TOTAL + 1), np.sqrt(TOTAL), TOTAL / TOTAL.sum(axis=1, keepdims=True) * 1e4]
)
def test_of_unusual_names_the_one_that_x_was_made_from(tmp_path, x):
    assert chosen(tmp_path, x.astype(np.float32), **PARTS, zz=TOTAL)[0] == "layers/zz"


def test_spliced_counts_come_with_a_word_about_unspliced_ones(tmp_path):
    name, words = chosen(tmp_path, logged(SPLICED), **PARTS)
    assert name == "layers/spliced" and "unspliced" in words


def test_where_nothing_tells_all_are_listed_and_none_is_chosen(tmp_path):
    name, words = chosen(tmp_path, logged(TOTAL), a=np.minimum(TOTAL, 2), b=PARTS["unspliced"])
    assert name == "" and "layers/a, layers/b" in words
    assert chosen(tmp_path, logged(TOTAL), ambient=PARTS["ambiguous"])[0] == ""


def test_counts_in_x_need_no_layer(tmp_path):
    assert chosen(tmp_path, TOTAL, counts=TOTAL) == ("X", "")
