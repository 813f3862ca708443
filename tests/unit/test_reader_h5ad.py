"""Any h5ad file by the names of its columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from layerscope.cells.readers.h5ad import read
from layerscope.cells.readers.source import SourceCells
from layerscope.cells.settings import CellSettings
from layerscope.errors import ConfigError, DataError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "day": ["d10", "d2", "d2", "d4", None, "d10"],
            "donor": pd.Categorical([1, 2, 1, 2, 1, 2]),
            "label": ["stem", "stem", "fate ", "fate", "stem", "fate"],
            "guide": ["a-1", "NT-1", "b-1", None, "a-2", "NT-2"],
            "target": ["a", "NT", "b", None, "a", "NT"],
            "dpt": [0.1, np.nan, np.inf, 0.3, 0.2, 0.9],
            "good": [True, False, True, True, True, True],
            "true_fate": ["x"] * 6,
        },
        index=[f"c{i}" for i in range(6)],
    )
    cells = anndata.AnnData(sparse.csr_matrix(rng.poisson(1, (6, 4)).astype(np.float32)), obs=obs)
    cells.var_names = ["TP53", "CD3E", "MT-ND1", "ACTB"]
    cells.obsm["X_clone"] = sparse.csr_matrix(np.array([[1, 0], [0, 0], [0, 1], [1, 0], [0, 0], [0, 1]]))
    cells.obsm["X_twice"] = np.ones((6, 2))
    cells.uns["iroot"] = 2
    cells.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def cells_of(file: Path, **settings: Any) -> SourceCells:
    return read(file, CellSettings.read(settings))


def test_columns_become_standard(file: Path) -> None:
    cells = cells_of(
        file,
        columns={"time": "day", "batch": "donor", "cell_type": "label", "reference_pseudotime": "dpt"},
        root={"time": "d2", "label": "stem"},
    )
    assert list(cells.obs["time"].cat.categories) == ["d2", "d4", "d10"]
    assert cells.obs["time"].isna().tolist() == [False] * 4 + [True, False]
    assert cells.obs["batch"].tolist() == ["1", "2", "1", "2", "1", "2"]
    assert cells.obs["cell_type"].tolist() == ["stem", "stem", "fate", "fate", "stem", "fate"]
    assert cells.obs["is_root"].tolist() == [False, True, False, False, False, False]
    assert cells.obs["true_fate"].tolist() == ["x"] * 6
    assert cells.root_cell == "c2"
    assert list(cells.var["symbol"]) == ["TP53", "CD3E", "MT-ND1", "ACTB"]


def test_perturbations_and_controls_are_told(file: Path) -> None:
    cells = cells_of(file, task="perturbation", columns={"perturbation": "target"}, control="NT")
    assert cells.obs["perturbation"].tolist() == ["a", "NT", "b", "", "a", "NT"]
    assert cells.obs["is_control"].tolist() == [False, True, False, False, False, True]
    assert cells.obs["guide"].tolist() == ["a-1", "NT-1", "b-1", "", "a-2", "NT-2"]


def test_clones_can_be_a_matrix_of_membership(file: Path) -> None:
    cells = cells_of(file, columns={"clone": "obsm/X_clone", "guide": None})
    assert cells.obs["clone"].tolist() == ["0", "", "1"] * 2
    assert "guide" not in cells.obs
    with pytest.raises(DataError, match="6 cells"):
        cells_of(file, columns={"clone": "obsm/X_twice"})


def test_subsets_and_exclusions_are_steps(file: Path) -> None:
    cells = cells_of(file, subset={"donor": 2, "good": "True"}, exclude={"label": "fate"})
    assert [(name, threshold, keep.sum()) for name, threshold, keep in cells.left_out] == [
        ("donor", "2", 3),
        ("good", "True", 5),
        ("label", "not fate", 3),
    ]
    assert cells.absent == {}


def test_the_order_of_times_can_be_given(file: Path) -> None:
    cells = cells_of(file, columns={"time": "day"}, time_order=["d10", "d4", "d2", "d0"])
    assert list(cells.obs["time"].cat.categories) == ["d10", "d4", "d2"]
    with pytest.raises(ConfigError, match=r"time_order .*'d10'"):
        cells_of(file, columns={"time": "day"}, time_order=["d2", "d4"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"columns": {"time": "days"}}, r"cells\.h5ad: no column 'days'.*'day'\?.*`columns: time`"),
        ({"columns": {"age": "day"}}, "columns: unknown key 'age'"),
        ({"matrix": "layers/count"}, "no matrix 'layers/count'; there are: X. Mend `matrix`"),
        ({"columns": {"is_root": "label"}}, "must hold true or false, found fate, stem"),
        ({"task": "perturbation"}, "set `columns: perturbation`"),
        ({"task": "perturbation", "columns": {"perturbation": "target"}}, "set `control`"),
        ({"recover_counts": {"total": "n_count"}}, "no column 'n_count' in obs.*recover_counts: total"),
        ({"genes": {"symbol": "name"}}, "no column 'name' in var"),
    ],
)
def test_what_is_not_there_is_refused_by_name(file: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises((ConfigError, DataError), match=words):
        cells_of(file, **settings)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"subset": {"donor": "3"}}, "subset: donor"),
        ({"task": "perturbation", "columns": {"perturbation": "target"}, "control": "nt"}, "control"),
        ({"root": {"label": "Stem"}}, "root: label"),
        ({"columns": {"cell_type": "label"}, "root": {"cell_type": "fat"}}, "root: cell_type"),
    ],
)
def test_labels_that_no_cell_carries_are_noted(file: Path, settings: dict[str, Any], key: str) -> None:
    ((found, message),) = cells_of(file, **settings).absent.items()
    assert found[0] == key
    assert f"Mend `{key}`" in message
