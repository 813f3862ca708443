"""From files as their owners made them to canonical cells: the same every time, or one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from cell_files import prepared, write_h5ad
from scipy import sparse

from layerscope.cells import matrix
from layerscope.cells.canonical import provenance
from layerscope.cells.prepare import prepare
from layerscope.errors import ConfigError, DataError
from layerscope.tables import read_table


def counts(n_cells: int = 60, n_genes: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.poisson(rng.gamma(0.6, 2.0, (n_cells, n_genes)) * rng.uniform(0.3, 1.5, n_genes))
        + np.eye(n_cells, n_genes)
    ).astype(np.float32)


def write(path: Path, values: np.ndarray, layout: Any = sparse.csr_matrix, **obs: Any) -> Path:
    names = [f"MT-G{i}" if i < 3 else f"GENE{i}" for i in range(values.shape[1])]
    table = pd.DataFrame(obs, index=[f"{path.stem}_{i}" for i in range(len(values))])
    anndata.AnnData(layout(values), obs=table, var=pd.DataFrame(index=names)).write_h5ad(path)
    return path


def test_counts_come_through_untouched_with_their_provenance(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5ad", counts(), time=["d1", "d2"] * 30)
    cells = prepared(source, tmp_path, dataset="mine", task="trajectory", citation="Us 2025")
    assert np.array_equal(cells.X.toarray(), counts())
    about = provenance(cells)
    assert (about["condition"], about["dataset"], about["values"]) == ("toy", "mine", "counts")
    assert (about["n_cells"], about["n_genes"], about["citation"]) == (60, 40, "Us 2025")
    assert about["source"] == ["a.h5ad"]
    assert str(tmp_path) not in json.dumps(about)


@pytest.mark.parametrize("layout", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_cells_do_not_depend_on_the_layout_nor_on_the_block(
    tmp_path: Path, layout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"quality": {"min_genes_per_cell": 10, "min_cells_per_gene": 5}}
    source = write(tmp_path / "a.h5ad", counts(), layout)
    in_one = prepared(source, tmp_path / "one", **settings)
    monkeypatch.setattr(matrix, "ENTRIES_AT_ONCE", 50)
    in_many = prepared(source, tmp_path / "many", **settings)
    assert np.array_equal(in_one.X.toarray(), in_many.X.toarray())
    pd.testing.assert_frame_equal(in_one.obs, in_many.obs)
    prepared(source, tmp_path / "again", **settings)
    for name in ("cells.h5ad", "obs.parquet", "summary.tsv"):
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("output", ["output", "summary", "obs"])
@pytest.mark.parametrize("given_as", ["input", "gene_names"])
def test_no_input_is_overwritten(tmp_path: Path, output: str, given_as: str) -> None:
    source = write(tmp_path / "a.h5ad", counts())
    (tmp_path / "link.h5ad").symlink_to(source)
    before = source.read_bytes()
    outputs = {name: tmp_path / "out" / name for name in ("output", "summary", "obs")}
    outputs[output] = tmp_path / "link.h5ad"
    inputs, names = ([source], None) if given_as == "input" else ([tmp_path / "b.h5ad"], source)
    with pytest.raises(ConfigError, match="choose another output"):
        prepare(inputs, {}, "toy", **outputs, gene_names=names)
    assert source.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_quality_control_is_recorded_and_applied(tmp_path: Path) -> None:
    values = counts()
    source = write(tmp_path / "a.h5ad", values, batch=["x", "y", "y"] * 20)
    limits = {"min_genes_per_cell": 15, "max_mitochondrial_percent": 12, "min_cells_per_gene": 16}
    cells = prepared(source, tmp_path, quality=limits)
    share = 100 * values[:, :3].sum(1) / values.sum(1)
    kept = ((values > 0).sum(1) >= 15) & (share <= 12)
    genes = (values[kept] > 0).sum(0) >= 16
    assert np.array_equal(cells.X.toarray(), values[kept][:, genes])
    table = read_table(tmp_path / "summary.tsv", text=("threshold", "remark"))
    last = table[table["group"] == "all"].iloc[-1]
    assert (last["cells_after"], last["genes_after"]) == (kept.sum(), genes.sum())
    assert 0 < kept.sum() < 60
    assert 0 < genes.sum() < 40


def test_genes_without_symbols_leave_the_mitochondrial_filter_out(tmp_path: Path) -> None:
    source = write_h5ad(tmp_path / "a.h5ad", counts(), [f"ENSG{i:011d}" for i in range(40)])
    prepared(source, tmp_path, quality={"max_mitochondrial_percent": 1})
    table = read_table(tmp_path / "summary.tsv", text=("threshold", "remark"))
    assert table["remark"].iloc[0] == "" and "no symbols" in table["remark"].iloc[1]


def test_normalised_values_are_logged_once_and_logged_ones_never(tmp_path: Path) -> None:
    normalised = counts() / counts().sum(1, keepdims=True) * 1e6
    cells = prepared(write(tmp_path / "a.h5ad", normalised), tmp_path, values="normalised")
    expected = np.log1p(counts() / counts().sum(1, keepdims=True) * 1e4)
    np.testing.assert_allclose(cells.X.toarray(), expected, rtol=1e-5)
    assert provenance(cells)["values"] == "log_normalised"
    some = (counts() / counts().sum(1, keepdims=True) * 1e4)[:, :30]  # not rescaled: the total is not known
    cells = prepared(write(tmp_path / "c.h5ad", some), tmp_path, values="normalised")
    np.testing.assert_allclose(cells.X.toarray(), np.log1p(some), rtol=1e-5)
    again = prepared(write(tmp_path / "b.h5ad", expected), tmp_path, values="log_normalised")
    np.testing.assert_allclose(again.X.toarray(), expected, rtol=1e-6)


def test_a_bad_value_beyond_the_sample_is_found(tmp_path: Path) -> None:
    values = np.tile(counts(), (20, 1))
    values[701, 5] = 2.5
    source = write(tmp_path / "a.h5ad", values)
    with pytest.raises(DataError, match=r"a\.h5ad: X: .*'a_701'.*gene 'GENE5'"):
        prepared(source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5ad"]


def test_several_files_become_one_condition(tmp_path: Path) -> None:
    one = write(tmp_path / "day2.h5ad", counts(seed=1), day=["d2"] * 60, kind=["stem", "fate"] * 30)
    two = write(tmp_path / "day10.h5ad", counts(seed=2, n_genes=35), day=["d10"] * 60, kind=["fate"] * 60)
    cells = prepared(
        [two, one],
        tmp_path,
        columns={"time": "day", "cell_type": "kind"},
        root={"time": "d2", "kind": "stem"},
    )
    assert cells.shape == (120, 35)
    assert list(cells.obs["time"].cat.categories) == ["d2", "d10"]
    assert cells.obs["is_root"].sum() == 30
    assert np.array_equal(cells.X.toarray()[60:], counts(seed=1)[:, :35])
    with pytest.raises(DataError, match="'d3' in column 'time'"):
        prepared([two, one], tmp_path, columns={"time": "day"}, root={"time": "d3"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"subset": {"batch": "x", "kind": "q"}}, r"step subset \(batch x: 30 left; kind q: 0 left\)"),
        ({"quality": {"min_cells_per_gene": 999}}, "no gene is detected in 999 cells"),
        ({"values": "log_normalised"}, "looks like raw counts"),
    ],
)
def test_one_message_for_each_mistake_and_nothing_is_written(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    source = write(tmp_path / "a.h5ad", counts(), batch=["x", "y"] * 30, kind=["p", "q"] * 30)
    with pytest.raises((ConfigError, DataError), match=words) as refusal:
        prepared(source, tmp_path / "out", **settings)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_cells_of_unknown_time_are_left_out_and_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5ad", counts(), day=["d1", None, "d2"] * 20)
    assert prepared(source, tmp_path, columns={"time": "day"}).n_obs == 40
    table = read_table(tmp_path / "summary.tsv", text=("threshold", "remark"))
    assert table[table["filter"] == "time"]["cells_after"].tolist()[0] == 40


STAGES = ["naive", "early", "late", "effector"]


@pytest.mark.parametrize("task", ["trajectory", None])
def test_the_order_of_times_that_a_file_stores_is_kept(tmp_path: Path, task: str | None) -> None:
    stored = pd.Categorical(STAGES[::-1] * 15, categories=STAGES, ordered=True)
    source = write(tmp_path / "a.h5ad", counts(), stage=stored)
    cells = prepared(source, tmp_path, columns={"time": "stage"}, task=task)
    assert list(cells.obs["time"].cat.categories) == STAGES
    own = prepared(source, tmp_path, columns={"time": "stage"}, time_order=STAGES[::-1])
    assert list(own.obs["time"].cat.categories) == STAGES[::-1]


def test_a_stored_order_that_the_labels_contradict_is_kept_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alphabet = ["0min", "24h", "2h"]
    stored = pd.Categorical(alphabet * 20, categories=alphabet, ordered=True)
    cells = prepared(write(tmp_path / "a.h5ad", counts(), time=stored), tmp_path, task="trajectory")
    assert list(cells.obs["time"].cat.categories) == alphabet
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("0min < 2h < 24h" in line for line in said)


def test_several_files_keep_a_stored_order_that_all_agree_on(tmp_path: Path) -> None:
    def file(name: str, present: list[str]) -> Path:
        stored = pd.Categorical(present * (60 // len(present)), categories=STAGES, ordered=True)
        return write(tmp_path / name, counts(), time=stored)

    inputs = [file("a.h5ad", STAGES[:2]), file("b.h5ad", STAGES)]
    assert list(prepared(inputs, tmp_path).obs["time"].cat.categories) == STAGES
    units = [write(tmp_path / f"{t}.h5ad", counts(), time=[t] * 60) for t in ("30min", "2h", "1d")]
    assert list(prepared(units[::-1], tmp_path).obs["time"].cat.categories) == ["30min", "2h", "1d"]


def test_a_guessed_order_is_warned_of_and_times_without_one_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "a.h5ad", counts(), time=["iPSC", "d2", "d10"] * 20)
    prepared(source, tmp_path, task="trajectory")
    assert any("is a guess" in r.getMessage() and r.levelname == "WARNING" for r in caplog.records)
    mixed = write(tmp_path / "b.h5ad", counts(), time=["2", "24h"] * 30, perturbation=["NT", "a"] * 30)
    with pytest.raises(ConfigError, match="set `time_order`"):
        prepared(mixed, tmp_path, task="trajectory")
    prepared(mixed, tmp_path, task="perturbation", control="NT")
    order = prepared(mixed, tmp_path, task="trajectory", time_order=["2", "24h"]).obs["time"].cat.categories
    assert list(order) == ["2", "24h"]


@pytest.mark.parametrize("missing", [None, "NA"])
def test_a_column_called_time_filters_trajectories_alone(tmp_path: Path, missing: str | None) -> None:
    obs = {"time": [missing, "24"] * 30, "cell_type": ["B", "T"] * 30, "perturbation": ["NT", "a"] * 30}
    source = write(tmp_path / "a.h5ad", counts(), **obs)
    assert prepared(source, tmp_path, task="label").n_obs == 60
    assert prepared(source, tmp_path, task="perturbation", control=["NT"]).n_obs == 60
    assert prepared(source, tmp_path).n_obs == 60
    assert prepared(source, tmp_path, task="trajectory").n_obs == 30
    with pytest.raises(DataError, match=r"root .*`time: known`"):
        prepared(source, tmp_path, task="trajectory", root={"cell_type": "B"})


def test_the_filter_that_removed_the_controls_is_named(tmp_path: Path) -> None:
    values = counts()
    values[::2, 4:] = 0
    source = write(tmp_path / "a.h5ad", values, perturbation=["NT", "a"] * 30)
    with pytest.raises(DataError, match=r"control cells.*`min_genes_per_cell: 6`.* 30"):
        prepared(source, tmp_path, task="perturbation", control=["NT"], quality={"min_genes_per_cell": 6})


def test_words_for_missing_values_are_said_and_can_be_labels(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5ad", counts(), cell_type=["NA", "B", "T"] * 20)
    cells = prepared(source, tmp_path)
    assert set(cells.obs["cell_type"]) == {"", "B", "T"}
    assert any("'NA' (20 cells)" in said for said in provenance(cells)["seen"])
    literal = prepared(source, tmp_path, not_missing=["NA"])
    assert set(literal.obs["cell_type"]) == {"NA", "B", "T"}
    assert not any("missing" in said for said in provenance(literal)["seen"])
    assert prepared(source, tmp_path, subset={"cell_type": ["NA"]}).n_obs == 20
    named = {"columns": {"perturbation": "cell_type"}, "control": "NA", "task": "perturbation"}
    assert prepared(source, tmp_path, **named).obs["is_control"].sum() == 20


def test_labels_that_look_like_controls_and_are_none_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "a.h5ad", counts(), target=["NT", "NT_g1|NT_g2", "A+NT"] * 20)
    prepared(source, tmp_path, task="perturbation", columns={"perturbation": "target"}, control="NT")
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("'NT_g1|NT_g2'" in line and "A+NT" not in line for line in said)


@pytest.mark.parametrize("matrix", ["X", "raw"])
def test_features_that_are_no_genes_do_not_count_as_genes(tmp_path: Path, matrix: str) -> None:
    values = counts()
    source = write(tmp_path / "a.h5ad", values)
    cells = anndata.read_h5ad(source)
    cells.raw = cells.copy()
    cells.var["feature_types"] = ["Gene Expression"] * 37 + ["Antibody Capture"] * 3
    cells.write_h5ad(source)
    read = prepared(source, tmp_path, matrix=matrix)
    assert np.array_equal(read.X.toarray(), values[:, :37])
    assert any("Antibody Capture (3)" in said for said in provenance(read)["seen"])


def test_codes_without_labels_are_called_that_where_a_label_is_wanted(tmp_path: Path) -> None:
    source = write(tmp_path / "a.h5ad", counts(), target=[0, 1, 2] * 20)
    with pytest.raises(DataError, match=r"'NT'.*codes"):
        prepared(source, tmp_path, task="perturbation", columns={"perturbation": "target"}, control="NT")


def test_a_cap_keeps_the_shares_of_what_the_task_asks_about_and_loses_no_label(tmp_path: Path) -> None:
    labels = ["B"] * 400 + ["T"] * 190 + ["rare"] * 2 + ["other"] * 8
    donors = [f"d{i % 4}" for i in range(600)]
    source = write(tmp_path / "a.h5ad", counts(600), cell_type=labels, donor=donors)
    capped = {"task": "label", "max_cells": 60, "selection": {"seed": 3}}
    cells = prepared(source, tmp_path / "one", **capped)
    assert len(cells) == 60
    types = cells.obs["cell_type"].value_counts()
    assert set(types.index) == {"B", "T", "rare", "other"}
    assert 36 <= types["B"] <= 44
    assert cells.obs["donor"].value_counts().between(13, 17).all()
    capped["selection"] = {"seed": 4}
    assert not prepared(source, tmp_path / "two", **capped).obs_names.equals(cells.obs_names)
    rows = read_table(tmp_path / "one" / "summary.tsv")
    row = rows[(rows["filter"] == "max_cells") & (rows["group"] == "all")].iloc[0]
    assert (row["cells_before"], row["cells_after"]) == (600, 60)


def test_a_cap_counts_cells_that_passed_and_keeps_the_only_root(tmp_path: Path) -> None:
    is_root = [False] * 59 + [True]
    source = write(tmp_path / "a.h5ad", counts(), time=["d1", "d2"] * 30, is_root=is_root)
    cells = prepared(source, tmp_path, task="trajectory", max_cells=6, quality={"min_genes_per_cell": 5})
    assert len(cells) == 6
    assert cells.obs["is_root"].sum() == 1
    assert len(prepared(source, tmp_path, max_cells=1000)) == 60
