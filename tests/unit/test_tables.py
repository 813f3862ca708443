"""The score row, and tables that are the same bytes for the same content."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from layerscope.errors import DataError
from layerscope.layout import layer_names
from layerscope.tables import (
    Score,
    arrays_of,
    depth,
    join_tables,
    read_scores,
    read_table,
    write_resamples,
    write_scores,
)

SCORE = Score(
    condition="cord_blood",
    model="tahoe_x1_1b",
    layer="01",
    depth=0.0,
    task="trajectory",
    protocol="paper",
    metric="spearman",
    estimate=0.25,
    n_cells=100,
)


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    undefined = Score(**{**SCORE.__dict__, "estimate": math.nan, "status": "undefined", "reason": "constant"})
    write_scores(tmp_path / "scores.tsv", [SCORE, undefined])
    table = read_scores(tmp_path / "scores.tsv")
    assert list(table.layer) == ["01", "01"]
    assert table.estimate[0] == 0.25
    assert math.isnan(table.estimate[1])
    assert list(table.reason) == ["", "constant"]


@pytest.mark.parametrize(
    ("read", "expected"),
    [(read_scores, "condition, model"), (partial(read_table, columns=("model", "layer")), "'layer'")],
)
def test_a_table_without_a_column_is_refused_with_what_it_has(
    tmp_path: Path, read: Any, expected: str
) -> None:
    (tmp_path / "x.tsv").write_text("model\tscore\nx\t1\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"x\.tsv: .*{expected}.*found model, score"):
        read(tmp_path / "x.tsv")


def test_depth_runs_from_the_first_block_to_the_last() -> None:
    assert depth("01", 24) == 0
    assert depth("24", 24) == 1
    assert depth("16", 24) == pytest.approx(0.652, abs=1e-3)
    assert all(math.isnan(depth(layer, 24)) for layer in ("00", "official"))


def test_a_baseline_has_the_official_layer_only() -> None:
    assert layer_names(0) == ["official"]
    assert layer_names(2) == ["00", "01", "02", "official"]


def test_joined_tables_keep_every_cell_as_it_stands(tmp_path: Path) -> None:
    for name, layer in (("a", "01"), ("b", "02")):
        (tmp_path / name).write_text(f"layer\tvalue\n{layer}\t0.10\n", encoding="utf-8")
    join_tables([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (tmp_path / "c").read_text(encoding="utf-8") == "layer\tvalue\n01\t0.10\n02\t0.10\n"


def test_tables_of_other_columns_are_not_joined(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1]}).to_csv(tmp_path / "a", sep="\t", index=False)
    pd.DataFrame({"y": [1]}).to_csv(tmp_path / "b", sep="\t", index=False)
    with pytest.raises(DataError, match="the columns of"):
        join_tables([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


def test_arrays_of_another_file_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "one.npz").open("wb") as stream:
        np.save(stream, np.zeros(3))
    write_resamples(tmp_path / "other.npz", {"spearman": np.zeros(3)})
    for path, names in ((tmp_path / "one.npz", ()), (tmp_path / "other.npz", ("values",))):
        refused = pytest.raises(DataError, match=f"{path.name}: not similarities")
        with refused, arrays_of(path, "similarities") as arrays:
            _ = [arrays[name] for name in names or arrays.files]
