"""Criteria without labels: what each sees in layers, and how often its layer may be the best by labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import compare_label_free
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.statistics.label_free import CRITERIA, neighbours, neighbours_kept, twins_found
from layerscope.tables import read_table, write_table

N_CELLS = 60
CELLS = [f"cell{number}" for number in range(N_CELLS)]
EXPRESSED = np.random.default_rng(0).normal(size=(N_CELLS, 6)) * [3, 2, 1, 1, 0.5, 0.5]
MODELS = {
    "m": {"control": None, "of": None},
    "m_thinned_1": {"control": "thinned", "of": "m"},
    "m_thinned_2": {"control": "thinned", "of": "m"},
    "hvg_pca": {"control": None, "of": None},
}


def noise(seed: int, width: int = 6) -> Any:
    return np.random.default_rng(seed).normal(size=(N_CELLS, width))


def test_twins_are_found_where_views_agree_and_at_random_where_they_do_not() -> None:
    assert twins_found(EXPRESSED, EXPRESSED + 0.01 * noise(1)) == 1
    assert twins_found(EXPRESSED, noise(2)) < 0.1
    halves = twins_found(EXPRESSED, np.where(np.arange(N_CELLS)[:, None] < 30, EXPRESSED, noise(3)))
    assert 0.4 < halves < 0.7


def test_cells_that_are_all_alike_find_no_twin() -> None:
    assert twins_found(np.ones((N_CELLS, 3)), np.ones((N_CELLS, 3))) == 0


def test_the_same_neighbours_are_all_kept_and_random_ones_none() -> None:
    near = neighbours(EXPRESSED)
    assert near.sum(axis=1).tolist() == [30] * N_CELLS
    assert not near.diagonal().any()
    assert neighbours_kept(near, near) == 1
    assert neighbours_kept(neighbours(EXPRESSED * 7 + 5), near) == 1
    assert neighbours_kept(neighbours(noise(4)), near) == pytest.approx(0, abs=0.1)


def write(path: Path, layers: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    block = {layer: np.asarray(matrix, dtype=np.float32) for layer, matrix in layers.items()}
    write_embeddings(path, CELLS, [block], {"model": path.stem, "n_layers": 3}, {})
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twins agree in layer 02, 01 uses all dimensions, and neighbours in 03 are those of expression."""
    few = EXPRESSED[:, :1] * np.ones((1, 6))
    own = {"01": 40 * noise(5), "02": few, "03": EXPRESSED}
    views = [
        {name: matrix + (0.001 if name == "02" else 50) * noise(seed) for name, matrix in own.items()}
        for seed in (6, 7)
    ]
    folder = tmp_path / "embeddings" / "blood"
    return [
        write(folder / "m.h5ad", own),
        *(write(folder / f"m_thinned_{number}.h5ad", view) for number, view in enumerate(views, start=1)),
        write(folder / "hvg_pca.h5ad", {"official": EXPRESSED}),
    ]


def table_of(tmp_path: Path, files: list[Path], best: list[bool], p_best: float = 0.5, **more: Any) -> Any:
    """What the script writes for a confidence set."""
    conditions = more.get("conditions", ["blood"])
    rows = [
        {"condition": condition, "task": "label", "protocol": "strict", "model": "m", "layer": layer}
        | {"in_confidence_set": may_be, "p_best": p_best if may_be else 0.001, "best_share": 0.7 * may_be}
        for condition in conditions
        for layer, may_be in zip(("01", "02", "03"), best, strict=True)
    ]
    write_table(tmp_path / "curves.tsv", pd.DataFrame(rows))
    cells_of = json.dumps(dict.fromkeys(conditions, "blood"))
    words = ["--curves", tmp_path / "curves.tsv", "--embeddings", *files, "--seed", 1, "--cells-of", cells_of]
    words += ["--models", json.dumps(more.get("models", MODELS)), "--output", tmp_path / "label_free.tsv"]
    compare_label_free.main([str(word) for word in [*words, "--settings", '{"cells": 2000}']])
    return read_table(tmp_path / "label_free.tsv", text=["layer"])


def test_each_criterion_picks_its_layer_and_stands_beside_picking_at_random(
    tmp_path: Path, files: list[Path]
) -> None:
    table = table_of(tmp_path, files, best=[False, True, True])
    own = table[table["condition"] == "blood"].set_index("criterion")
    assert own["layer"].to_dict() == dict(zip(CRITERIA, ("02", "01", "03"), strict=True))
    assert own["in_confidence_set"].to_dict() == dict(zip(CRITERIA, (1, 0, 1), strict=True))
    np.testing.assert_allclose(own["at_random"], 2 / 3)
    np.testing.assert_allclose(own["best_share_at_random"], 1 / 3)
    assert own["n_cells"].eq(N_CELLS).all()
    assert own.loc["neighbours_kept", "value"] == 1


def test_over_all_conditions_it_is_said_how_often(tmp_path: Path, files: list[Path]) -> None:
    """A second condition is scored on the cells of the first."""
    table = table_of(tmp_path, files, best=[True, False, False], conditions=["blood", "types"])
    assert len(table) == 9
    together = table[table["condition"] == "all"].set_index("criterion")
    assert together["in_confidence_set"].to_dict() == {"twins": 0, "effective_rank": 1, "neighbours_kept": 0}
    assert together["reason"].str.startswith("mean of 2 ").all()


def test_without_resamples_no_layer_is_excluded_and_nothing_said(tmp_path: Path, files: list[Path]) -> None:
    table = table_of(tmp_path, files, best=[True, True, True], p_best=np.nan)
    assert set(table["status"]) == {"undefined"}
    assert table["in_confidence_set"].isna().all()


def test_without_two_views_the_table_says_what_to_add(tmp_path: Path) -> None:
    models = {name: entry for name, entry in MODELS.items() if name != "m_thinned_2"}
    table = table_of(tmp_path, [], best=[True, True, True], models=models)
    assert table["status"].tolist() == ["not_available"]
    assert "thinned" in table["reason"].item()
