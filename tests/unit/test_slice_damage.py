"""Damaged rows of a remote file are named and refused, whatever damaged them; sound files are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from slice_examples import FILE, serving, sliced, write_original

from fault_server import Request, fault_seeds, first
from layerscope.errors import SourceError


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    layouts = ("contiguous", "appended", "appended_gzip")
    return {layout: write_original(tmp_path_factory.mktemp(layout), layout) for layout in layouts}


@pytest.fixture(scope="module")
def rows(originals, tmp_path_factory):
    """Rows of the cells that are chosen of these files."""
    with serving(originals["appended"]) as server:
        names = sliced(server, tmp_path_factory.mktemp("right")).obs_names
    return np.flatnonzero(anndata.read_h5ad(originals["appended"]).obs_names.isin(names))


def damaged(original: Path, path: Path, array: str, change: Callable[[np.ndarray, np.ndarray], None]) -> Path:
    """A copy of a file with an array of X changed; ``change`` gets it and the row starts."""
    path.write_bytes(original.read_bytes())
    with h5py.File(path, "r+") as stored:
        values, starts = stored[f"X/{array}"][()], stored["X/indptr"][()]
        change(values, starts)
        stored[f"X/{array}"][()] = values
    return path


@pytest.mark.parametrize(
    ("layout", "value"),
    [("contiguous", 200), ("contiguous", -1), ("appended_gzip", 2**32 + 5), ("appended_gzip", -(2**40))],
)
def test_genes_that_do_not_exist_are_named_with_their_rows(originals, rows, tmp_path, layout, value):
    wrong = rows[[1, 2, 40, len(rows) - 1]]

    def change(indices: np.ndarray, starts: np.ndarray) -> None:
        indices[starts[wrong] + 1] = value

    broken = damaged(originals[layout], tmp_path / FILE, "indices", change)
    words = rf"{FILE}.*200 columns, and entries of column {value}.*"
    words += ".*".join(str(row) for row in wrong) if wrong[1] > wrong[0] + 1 else str(wrong[-1])
    with serving(broken) as server, pytest.raises(SourceError, match=words):
        sliced(server, tmp_path / "out")
    assert not (tmp_path / "out" / "slice.h5ad").exists()


def test_damaged_rows_that_are_not_chosen_do_not_matter(originals, rows, tmp_path):
    others = np.setdiff1d(np.arange(1500), rows)

    def change(indices: np.ndarray, starts: np.ndarray) -> None:
        for row in others:
            indices[starts[row] : starts[row + 1]] = -7

    broken = damaged(originals["appended"], tmp_path / FILE, "indices", change)
    with serving(broken) as server:
        cells = sliced(server, tmp_path / "out")
    assert np.array_equal(cells.X.toarray(), anndata.read_h5ad(originals["appended"])[rows].X.toarray())


@pytest.mark.parametrize("change", [-1, 10**12, -(10**12)])
def test_row_starts_that_fall_are_named(originals, tmp_path, change):
    def fall(starts: np.ndarray, _: np.ndarray) -> None:
        starts[701] = starts[700] + change if change > 0 else starts[699] + change

    broken = damaged(originals["appended"], tmp_path / FILE, "indptr", fall)
    with serving(broken) as server, pytest.raises(SourceError, match=rf"{FILE}.*row.* 70[01]"):
        sliced(server, tmp_path / "out")


@pytest.mark.parametrize(
    ("array", "flip"),
    [
        ("data", lambda values: values + 1),
        ("data", lambda values: -values),
        ("data", lambda values: values * np.nan),
        ("indices", lambda genes: genes[:1]),
        ("indptr", lambda starts: starts - 3),
    ],
)
def test_what_the_owners_sums_betray_is_named(originals, rows, tmp_path, array, flip):
    row = rows[50]

    def change(values: np.ndarray, starts: np.ndarray) -> None:
        entries = slice(row, row + 1) if array == "indptr" else slice(starts[row] + 1, starts[row] + 3)
        first = slice(starts[row], starts[row] + 3)
        values[entries] = flip(values[first if array == "indices" else entries])

    broken = damaged(originals["appended"], tmp_path / FILE, array, change)
    with serving(broken) as server, pytest.raises(SourceError, match=rf"{FILE}.*row.* {row}[ ,]"):
        sliced(server, tmp_path / "out")


def test_genes_left_out_after_the_owners_summed_are_no_damage(originals, tmp_path):
    cells = anndata.read_h5ad(originals["contiguous"])
    rare = np.argsort(np.asarray(cells.X.sum(axis=0)).ravel())[:20]
    cells[:, np.setdiff1d(np.arange(200), rare)].write_h5ad(tmp_path / FILE)
    with serving(tmp_path / FILE) as server:
        assert sliced(server, tmp_path / "out").n_vars == 180


def test_normalised_values_and_columns_in_no_order_are_no_damage(originals, tmp_path):
    cells = anndata.read_h5ad(originals["contiguous"])[:, np.random.default_rng(0).permutation(200)].copy()
    cells.X.data /= 3
    cells.write_h5ad(tmp_path / FILE)
    with serving(tmp_path / FILE) as server:
        made = sliced(server, tmp_path / "out")
    assert np.array_equal(made.X.toarray(), cells[made.obs_names].X.toarray())


@pytest.mark.parametrize("seed", fault_seeds(0, 1))
def test_counts_that_flip_on_the_way_are_never_taken(originals, tmp_path, seed):
    with h5py.File(originals["contiguous"]) as stored:
        start = stored["X/data"].id.get_offset()
        stop = start + stored["X/data"].id.get_storage_size()
    rng = np.random.default_rng(seed)

    def plan(request: Request) -> str:
        return "wrong_bytes" if start <= request.start < request.stop <= stop and rng.random() < 0.2 else ""

    with serving(originals["contiguous"], plan=plan, seed=seed) as server:
        with pytest.raises(SourceError, match=r"wrong bytes .*row"):
            sliced(server, tmp_path / "out")
        server.plan = first()
        cells = sliced(server, tmp_path / "out")
    whole = anndata.read_h5ad(originals["contiguous"])[cells.obs_names]
    assert np.array_equal(cells.X.toarray(), whole.X.toarray())


def test_most_rows_may_be_damaged(originals, rows, tmp_path):
    wrong = rows[: len(rows) * 4 // 5]

    def change(values: np.ndarray, starts: np.ndarray) -> None:
        values[starts[wrong]] += 2

    broken = damaged(originals["appended"], tmp_path / FILE, "data", change)
    with serving(broken) as server, pytest.raises(SourceError, match=f"rows {wrong[0]}.* more"):
        sliced(server, tmp_path / "out")
