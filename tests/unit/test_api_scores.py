"""Scores through Python are the rows that the workflow's scripts write for the same cells and layers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import label_cells
import numpy as np
import pandas as pd
import pytest
import torch
import trajectory_cells
from perturbation_cells import experiment, logged
from scipy import sparse

import layerscope as ls
from layerscope.cells.prepare import prepare
from layerscope.doors.representations import model_and_layer
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import write_embeddings
from layerscope.models.baselines import compute_baseline
from layerscope.tables import read_resamples, read_scores
from layerscope.tasks.catalogue import TASKS
from layerscope.tasks.jobs import make_reference, score_layer

QUICK: dict[tuple[str, str], dict[str, Any]] = {
    ("trajectory", "paper"): {"resamples": 100, "halvings": 4, "splits": 5},
    ("trajectory", "released"): {"resamples": 100, "halvings": 4, "splits": 5, "pairs": 500},
    ("trajectory", "strict"): {"resamples": 100, "halvings": 4, "splits": 5, "neighbourhoods": [10, 15]},
    ("perturbation", "paper"): {"resamples": 100, "splits": 10},
    ("perturbation", "released"): {"resamples": 100, "splits": 10},
    ("perturbation", "strict"): {
        "resamples": 100,
        "splits": 10,
        "cells_per_perturbation": 40,
        "buckets": 4,
        "shuffles": 2,
        "permutations": 99,
    },
    ("label", "strict"): {"resamples": 100, "splits": 10, "shuffles": 5, "refits": 2},
    ("integration", "strict"): {"resamples": 100, "shuffles": 3, "parts": 5},
    ("time", "strict"): {"resamples": 100, "splits": 10, "dealings": 50, "shuffles": 3, "refits": 3},
    ("response", "strict"): {"resamples": 100, "splits": 10, "shuffles": 2, "cell_splits": 2},
}
OTHER_NAMES = {
    "trajectory": {"time": "day", "batch": "lane"},
    "perturbation": {"perturbation": "target", "guide": "sgRNA"},
    "label": {"cell_type": "kind", "donor": "patient"},
    "integration": {"cell_type": "kind", "batch": "chemistry"},
    "response": {"perturbation": "target", "guide": "sgRNA"},
    "time": {"time": "day", "donor": "patient"},
}
MORE: dict[str, dict[str, Any]] = {
    "trajectory": {"time_order": ["Day3", "Day10", "Day17"]},
    "perturbation": {"control": "non-targeting"},
    "label": {},
    "integration": {},
    "response": {"control": "non-targeting"},
    "time": {"time_order": ["Day3", "Day10", "Day17"]},
}


def cells_of(task: str) -> anndata.AnnData:
    """Cells whose columns have names of their own."""
    if TASKS[task].of_screens:
        adata = experiment(n_modules=7, cells_per_guide=20) if task == "response" else experiment()
        adata.obs = adata.obs.drop(columns="is_control")
    else:
        obs = trajectory_cells.cells()[0] if task == "trajectory" else label_cells.cells()
        obs = obs.rename(columns={"donor": "batch"}) if task == "integration" else obs
        days = [f"Day{3 + 7 * (int(name.removeprefix('donor ')) % 3)}" for name in obs.get("donor", [])]
        obs = obs.assign(time=days) if task == "time" else obs
        counts = np.random.default_rng(0).poisson(1.0, (len(obs), 40)).astype(np.float32)
        adata = anndata.AnnData(sparse.csr_matrix(counts), obs=obs)
        adata.var_names = [f"G{number}" for number in range(40)]
    adata.obs = adata.obs.rename(columns=OTHER_NAMES[task])
    return adata


def layers_of(task: str, adata: anndata.AnnData) -> dict[str, np.ndarray]:
    if task == "trajectory":
        obs, fate = trajectory_cells.cells()
        return {f"{n:02d}": trajectory_cells.layer(obs, fate, noise) for n, noise in ((1, 0.5), (2, 0.1))}
    values = logged(adata) if TASKS[task].of_screens else None
    if values is None:
        values = label_cells.clusters(adata.obs["patient" if task == "time" else "kind"], 2.0)
    noise = np.random.default_rng(1).normal(size=values.shape)
    return {"01": (values + 2 * noise).astype(np.float32), "02": values.astype(np.float32)}


class Workflow:
    """What the rules do, by the functions of their scripts, in a folder."""

    def __init__(self, folder: Path, task: str, adata: anndata.AnnData, layers: dict[str, np.ndarray]):
        self.folder, self.task, self.layers = folder, TASKS[task], layers
        adata.write_h5ad(folder / "given.h5ad")
        settings = {"task": task, "columns": OTHER_NAMES[task], **MORE[task]}
        cells, obs = folder / "cells.h5ad", folder / "obs.parquet"
        prepare([folder / "given.h5ad"], settings, "blood", cells, folder / "summary.tsv", obs=obs)
        provenance = {"model": "m", "family": "mine", "n_layers": len(layers)}
        write_embeddings(folder / "m.h5ad", adata.obs_names.tolist(), [layers], provenance)

    def reference(self, about: dict[str, Any]) -> list[Path]:
        if not self.task.has_reference:
            return []
        cells, output, baseline = self.folder / "cells.h5ad", self.folder / about["protocol"], []
        if self.task.baseline:
            baseline = [self.folder / "baseline.h5ad"]
            compute_baseline(self.task.baseline, cells, baseline[0], {}, seed=1)
        seed = 1 if about["protocol"] in self.task.drawn_references else 0
        make_reference(**about, cells=cells, baseline=baseline, output=output, seed=seed)
        return [output]

    def scores(self, protocol: str) -> tuple[pd.DataFrame, dict[str, dict[str, np.ndarray]]]:
        settings = QUICK[self.task.name, protocol]
        about = {"task": self.task.name, "protocol": protocol, "condition": "blood", "settings": settings}
        files = {"embeddings": self.folder / "m.h5ad", "cells": self.folder / "obs.parquet"}
        tables, resamples, reference = [], {}, self.reference(about)
        for layer in self.layers:
            rows, values = self.folder / f"{layer}.tsv", self.folder / f"{layer}.npz"
            made = {"model": "m", "layer": layer, "output": rows, "resamples": values}
            score_layer(**about, **files, **made, reference=reference, seed=1)
            tables.append(read_scores(rows))
            resamples[layer] = read_resamples(values)
        return pd.concat(tables, ignore_index=True), resamples


def called(task: str, protocol: str, cells: Any, layers: Any, **more: Any) -> ls.Scores:
    options = {"condition": "blood", "name": "m", **OTHER_NAMES[task], **MORE[task], **QUICK[task, protocol]}
    return ls.score(cells, layers, task=task, protocol=protocol, **{**options, **more})


@pytest.mark.parametrize(("task", "protocol"), QUICK)
def test_rows_are_those_that_the_workflow_writes(tmp_path: Path, task: str, protocol: str) -> None:
    adata = cells_of(task)
    layers = layers_of(task, adata)
    table, resamples = Workflow(tmp_path, task, adata, layers).scores(protocol)
    scores = called(task, protocol, adata, layers)
    pd.testing.assert_frame_equal(scores.table, table, check_dtype=False, rtol=1e-6, atol=1e-9)
    for layer, values in resamples.items():
        for metric, expected in values.items():
            ours = scores.resamples[task, "blood", protocol, "m", layer][metric]
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)
    assert (scores.table["status"] == "ok").any()


def test_all_protocols_are_compared() -> None:
    assert set(QUICK) == {(task, protocol) for task in TASKS for protocol in TASKS[task].protocols}


LABEL = QUICK["label", "strict"]
OF_LABEL = ["m_layer_01", "m_layer_02"]


def assert_same(scores: ls.Scores, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(scores.table, expected, rtol=1e-6, atol=1e-9)


@pytest.fixture(scope="module")
def adata() -> anndata.AnnData:
    adata = cells_of("label")
    for name, matrix in layers_of("label", adata).items():
        adata.obsm[f"m_layer_{name}"] = matrix
    return adata


@pytest.fixture(scope="module")
def expected(adata: anndata.AnnData) -> pd.DataFrame:
    return called("label", "strict", adata, layers_of("label", adata)).table


def table_of(rows: np.ndarray, adata: anndata.AnnData) -> pd.DataFrame:
    """An array as a table whose rows have names, in another order and among more."""
    table = pd.DataFrame(rows, index=adata.obs_names)
    return pd.concat([table.iloc[::-1], table.iloc[:3].set_axis(["more", "and more", "cells"])])


FORMS: dict[str, Callable[[anndata.AnnData, dict[str, np.ndarray]], Any]] = {
    "names of arrays in obsm": lambda adata, layers: ["m_layer_01", "obsm/m_layer_02"],
    "names of layers": lambda adata, layers: {1: layers["01"], "m/layers.2": layers["02"]},
    "tables": lambda adata, layers: {name: table_of(rows, adata) for name, rows in layers.items()},
    "sparse": lambda adata, layers: {name: sparse.csr_matrix(rows) for name, rows in layers.items()},
    "tensors": lambda adata, layers: {name: torch.from_numpy(rows) for name, rows in layers.items()},
    "double": lambda adata, layers: {name: rows.astype(float) for name, rows in layers.items()},
    "a list": lambda adata, layers: [{"m_layer_01": layers["01"]}, "m_layer_02"],
}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(("7", ("name", "07")), ("layer_7", ("name", "07")), ("Layer_007", ("name", "07"))),
        *(("m/layers.7", ("m", "07")), ("m.block7", ("m", "07")), ("obsm/X_m_layer_07", ("m", "07"))),
        *(("official", ("name", "official")), ("scgpt_official", ("scgpt", "official"))),
        ("X_pca", ("X_pca", "official")),
    ],
)
def test_a_key_names_a_layer_or_a_model(key: str, expected: tuple[str, str]) -> None:
    assert model_and_layer(key, "name") == expected


WAYS: dict[str, Callable[[anndata.AnnData, Path], tuple[Any, dict[str, Any]]]] = {
    "two jobs": lambda adata, folder: (adata, {"jobs": 2}),
    "numbers of numpy": lambda adata, folder: (adata, {name: np.int64(n) for name, n in LABEL.items()}),
    "backed": lambda adata, folder: (anndata.read_h5ad(written(adata, folder), backed="r"), {}),
    "a path": lambda adata, folder: (written(adata, folder), {}),
    "without values": lambda adata, folder: (bare(adata), {}),
    "a path without values": lambda adata, folder: (str(written(bare(adata), folder)), {}),
    "a zarr store": lambda adata, folder: (written(bare(adata), folder, "zarr"), {}),
}


def bare(adata: anndata.AnnData) -> anndata.AnnData:
    return anndata.AnnData(obs=adata.obs, obsm=dict(adata.obsm))


def written(adata: anndata.AnnData, folder: Path, kind: str = "h5ad") -> Path:
    getattr(adata, f"write_{kind}")(folder / f"cells.{kind}")
    return folder / f"cells.{kind}"


@pytest.mark.parametrize("way", WAYS)
def test_scores_are_the_same_however_cells_are_held_and_jobs_are_run(
    tmp_path: Path, adata: anndata.AnnData, expected: pd.DataFrame, way: str
) -> None:
    cells, more = WAYS[way](adata, tmp_path)
    assert_same(called("label", "strict", cells, OF_LABEL, **more), expected)


@pytest.mark.parametrize("form", FORMS)
def test_layers_may_be_given_in_many_forms(adata: anndata.AnnData, expected: pd.DataFrame, form: str) -> None:
    given = FORMS[form](adata, layers_of("label", adata))
    assert_same(called("label", "strict", adata, given), expected)


def test_label_and_group_name_columns_of_any_name(adata: anndata.AnnData, expected: pd.DataFrame) -> None:
    columns = {"label": "kind", "group": "patient"}
    assert_same(ls.score(adata, OF_LABEL, task="label", condition="blood", **columns, **LABEL), expected)


def test_nothing_that_is_given_is_changed(adata: anndata.AnnData) -> None:
    def state() -> bytes:
        return pickle.dumps((adata.X, adata.obs, adata.var, dict(adata.obsm), dict(adata.uns)))

    before = state()
    called("label", "strict", adata, ["m_layer_01"])
    assert state() == before


def test_scores_are_joined_and_print_well(adata: anndata.AnnData, expected: pd.DataFrame) -> None:
    one = called("label", "strict", adata, ["m_layer_01"])
    other = called("label", "strict", adata, {"X_scVI": adata.obsm["m_layer_02"]})
    both = one + other
    assert len(both.table) == len(one.table) + len(other.table)
    assert "X_scVI" in both._repr_html_() and "<table" in both._repr_html_()
    assert "probe_macro_f1" in repr(both)
    with pytest.raises(ConfigError, match="in both"):
        one + one


def test_any_column_may_be_the_labels_and_a_transfer_names_another(adata: anndata.AnnData) -> None:
    adata = adata.copy()
    number = adata.obs["patient"].str[-1].astype(int)
    adata.obs["disease"] = np.where(number % 2 == 0, "ill", "well")
    adata.obs["state"] = np.arange(adata.n_obs) % 2
    table = ls.score(adata, "m_layer_01", task="label", label="disease", group="patient", **LABEL).table
    row = table.set_index("metric").loc["donor_auc"]
    assert row["status"] == "ok" and "level donor" in row["reason"] and "positive: well" in row["reason"]
    sides = {"column": "state", "from": "0", "to": "1"}
    table = ls.score(
        adata, "m_layer_01", task="label", label="kind", group="patient", transfer=sides, **LABEL
    )
    assert table.primary["metric"].tolist() == ["transfer_macro_f1"]
    assert table.primary["estimate"].gt(0.5).all()


@pytest.mark.parametrize(
    ("layers", "change", "error", "words"),
    [
        ("m_layer_01", {"fold": 3}, ConfigError, "did you mean 'folds'"),
        ("m_layer_01", {"folds": 1}, ConfigError, "folds: found 1; expected at least 2"),
        ("m_layer_01", {"jobs": 0}, ConfigError, "jobs: found 0"),
        ("m_layer_01", {"task": "cell_types"}, ConfigError, "no task 'cell_types'"),
        ("m_layer_01", {"label": "kin"}, DataError, "did you mean 'kind'"),
        ("m_layer_01", {"protocol": "paper"}, ConfigError, "no label protocol 'paper'"),
        ("m_layer_1", {}, DataError, "did you mean 'm_layer_01'"),
        ({"my model": np.ones((240, 2))}, {}, ConfigError, "'my model'"),
        ({"01": np.ones((7, 2))}, {}, DataError, r"shape \(7, 2\); expected a row for each of 240"),
        ({"01": np.full((240, 2), np.inf)}, {}, DataError, "infinite"),
        ({"01": np.full((240, 2), "a")}, {}, DataError, "expected numbers"),
        ({"1": np.ones((240, 2)), "01": np.ones((240, 2))}, {}, ConfigError, "comes twice"),
        ({}, {}, ConfigError, "none are given"),
        ([3], {}, ConfigError, "found a int"),
        (
            {"01": pd.DataFrame(np.ones((3, 2)), index=["a", "b", "c"])},
            {},
            DataError,
            "240 of 240 cells have no row",
        ),
    ],
)
def test_mistakes_are_named(
    adata: anndata.AnnData, layers: Any, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    task, protocol = change.pop("task", "label"), change.pop("protocol", "strict")
    options = {**OTHER_NAMES["label"], **LABEL, **change}
    with pytest.raises(error, match=words) as raised:
        ls.score(adata, layers, task=task, protocol=protocol, **options)
    assert len(str(raised.value).splitlines()) <= 2
