"""Canonical cells survive the disk, are the same bytes when made again, and refuse broken contracts."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import write_cells
from processes import run_python
from scipy import sparse

from layerscope.cells.canonical import CellsWriter, provenance, read_cells, read_var, standard_table
from layerscope.cells.obs import read_obs, read_provenance, read_root_cell, write_obs
from layerscope.errors import DataError

ABOUT = {"condition": "toy", "dataset": "toy", "task": "trajectory", "values": "counts", "seed": 3}


def cells(n_cells: int = 7, n_genes: int = 5, seed: int = 0) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(["d2", "d10", "d2"] * n_cells, categories=["d2", "d10"], ordered=True)[
                :n_cells
            ],
            "clone": ["", "c1", None, "c2"][: min(n_cells, 4)] + [""] * (n_cells - 4),
            "is_root": np.arange(n_cells) == 0,
            "reference_pseudotime": np.linspace(0, 1, n_cells),
            "true_pseudotime": np.linspace(0, 2, n_cells),
            "true_fate": ["ä"] * n_cells,
            "leiden": ["1"] * n_cells,
        },
        index=[f"cell {i}" for i in range(n_cells)],
    )
    var = pd.DataFrame({"symbol": [f"G{i}" for i in range(n_genes)]}, index=[f"g{i}" for i in range(n_genes)])
    counts = sparse.csr_matrix(rng.poisson(0.7, (n_cells, n_genes)).astype(np.float32))
    return anndata.AnnData(counts, obs=obs, var=var)


def test_cells_survive_the_disk(tmp_path):
    before = cells()
    before.uns["iroot_cell"] = "cell 2"
    write_cells(tmp_path / "cells.h5ad", before, ABOUT)
    after = read_cells(tmp_path / "cells.h5ad")
    assert sparse.isspmatrix_csr(after.X)
    assert after.X.dtype == np.float32
    assert (after.X != before.X).nnz == 0
    assert list(after.obs_names) == list(before.obs_names)
    assert list(after.obs["time"].cat.categories) == ["d2", "d10"]
    assert after.obs["time"].cat.ordered
    assert list(after.obs["clone"])[:4] == ["", "c1", "", "c2"]
    assert after.obs["is_root"].dtype == bool
    assert after.uns["iroot_cell"] == "cell 2"
    assert list(after.obs["leiden"]) == ["1"] * 7
    assert list(after.obs["true_fate"]) == ["ä"] * 7
    assert provenance(after) == ABOUT


def test_the_cells_table_alone_says_all_that_the_file_of_cells_says(tmp_path):
    made = cells()
    made.uns["iroot_cell"] = "cell 2"
    write_cells(tmp_path / "cells.h5ad", made, ABOUT)
    for name in ("obs.parquet", "again.parquet"):
        write_obs(tmp_path / name, standard_table(made.obs), ABOUT, "cell 2")
    assert (tmp_path / "obs.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    obs = read_obs(tmp_path / "obs.parquet")
    pd.testing.assert_frame_equal(obs, read_obs(tmp_path / "cells.h5ad"))
    assert list(obs["time"].cat.categories) == ["d2", "d10"] and obs["time"].cat.ordered
    for path in (tmp_path / "obs.parquet", tmp_path / "cells.h5ad"):
        assert read_provenance(path) == ABOUT
        assert read_root_cell(path) == "cell 2"
    assert list(read_var(tmp_path / "cells.h5ad")["symbol"]) == [f"G{i}" for i in range(5)]


def test_a_table_of_something_else_is_refused(tmp_path):
    cells().obs.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="canonical cells"):
        read_obs(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("cells")
    with pytest.raises(DataError, match="readable parquet"):
        read_obs(tmp_path / "text.parquet")
    with pytest.raises(DataError, match="no such file"):
        read_obs(tmp_path / "absent.parquet")


def test_reading_the_table_imports_nothing_heavy(tmp_path):
    write_obs(tmp_path / "obs.parquet", standard_table(cells().obs), ABOUT)
    code = (
        "import sys; from layerscope.cells.obs import read_obs; "
        f"read_obs({str(tmp_path / 'obs.parquet')!r}); "
        "print({'anndata', 'scanpy', 'h5py', 'scipy', 'torch'} & set(sys.modules))"
    )
    assert run_python("-c", code).strip() == "set()"


def test_cells_written_block_by_block_are_the_same(tmp_path):
    made = cells(n_cells=9)
    write_cells(tmp_path / "one.h5ad", made, ABOUT)
    for name in ("many.h5ad", "again.h5ad"):
        with CellsWriter(tmp_path / name, made.var, ABOUT) as writer:
            for start, stop in ((0, 4), (4, 4), (4, 9)):
                writer.append(made.X[start:stop])
            writer.finish(made.obs)
    assert (tmp_path / "many.h5ad").read_bytes() == (tmp_path / "again.h5ad").read_bytes()
    one, many = read_cells(tmp_path / "one.h5ad"), read_cells(tmp_path / "many.h5ad")
    assert np.array_equal(one.X.toarray(), many.X.toarray())
    pd.testing.assert_frame_equal(one.obs, many.obs)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda made: setattr(made, "obs_names", ["a", "a", *made.obs_names[2:]]), "1 repeat, such as a"),
        (lambda made: made.obs.__setitem__("time", "d2"), "ordered categorical"),
        (lambda made: made.uns.update(iroot_cell="nobody"), "'nobody'"),
    ],
)
def test_broken_contracts_are_refused(tmp_path, spoil, words):
    made = cells()
    spoil(made)
    with pytest.raises(DataError, match=words):
        write_cells(tmp_path / "cells.h5ad", made, ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_of_canonical_cells_is_refused(tmp_path):
    with pytest.raises(DataError, match="log_normalised, found 'scaled'"):
        write_cells(tmp_path / "cells.h5ad", cells(), {**ABOUT, "values": "scaled"})
    cells().write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(DataError, match=r"prepare_cells\.py"):
        read_cells(tmp_path / "other.h5ad")
