"""Every task through its two scripts: reference and scores of each protocol, from files to files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from perturbation_cells import experiment, write
from task_examples import QUICK, RUNS, settings, write_example

import make_reference
import score_layer
from layerscope.errors import ConfigError, DataError
from layerscope.extraction.embeddings_file import write_official
from layerscope.tables import read_resamples, read_scores
from layerscope.tasks.catalogue import TASKS, primary_metrics

NOTHING: Mapping[str, str] = {}


# packages that take a second to start, and what a job that gets its settings from a rule does not need
SLOW = ("torch", "scanpy", "anndata", "sklearn", "pydeseq2", "scipy.stats", "matplotlib", "yaml")


@pytest.mark.parametrize("task", TASKS)
def test_a_scoring_job_imports_its_own_task_and_nothing_slow(task: str) -> None:
    others = tuple(f"layerscope.tasks.{other}.task" for other in TASKS if other != task)
    code = (
        "import sys, score_layer; from layerscope.tasks.jobs import room_of, task_named; "
        f"task_named({task!r}), room_of({task!r}); print([m for m in {SLOW + others} if m in sys.modules])"
    )
    job = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert job.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells and two baselines for each task."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in TASKS:
        write_example(folder, task)
    return folder


def refer(folder: Path, task: str, protocol: str, *more: str) -> list[str]:
    """The option that names the reference, which is made if there is none yet."""
    if not TASKS[task].has_reference:
        return []
    output = folder / f"{task}_{protocol}"
    if not output.exists():
        words = ["--task", task, "--protocol", protocol, "--condition", "blood", "--seed", "1", *more]
        words += ["--cells", f"{folder}/{task}.h5ad", "--settings", json.dumps(settings(task, protocol))]
        baseline = TASKS[task].baseline
        words += ["--baseline", f"{folder}/{task}_{baseline}.h5ad"] if baseline else ["--baseline"]
        make_reference.main([*words, "--output", str(output)])
    return ["--reference", str(output)]


def score(
    folder: Path, task: str, protocol: str, out: str, changes: Mapping[str, str] = NOTHING
) -> pd.DataFrame:
    options = {
        "task": task,
        "protocol": protocol,
        "condition": "blood",
        "model": "m",
        "layer": "official",
        "embeddings": f"{folder}/{task}_log_all_genes.h5ad",
        "cells": f"{folder}/{task}.h5ad",
        "settings": json.dumps(settings(task, protocol)),
        "seed": "1",
        "output": f"{folder}/{out}.tsv",
        "resamples": f"{folder}/{out}.npz",
    } | dict(changes)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    score_layer.main([*words, *refer(folder, task, protocol)])
    return read_scores(folder / f"{out}.tsv")


@pytest.mark.parametrize(("task", "protocol"), RUNS)
def test_a_layer_gets_rows_of_its_primary_metric_and_what_resamples_them(
    folder: Path, task: str, protocol: str
) -> None:
    rows = score(folder, task, protocol, "scores").set_index("metric")
    assert set(rows["task"]) == {task} and set(rows["protocol"]) == {protocol}
    primary = next(metric for metric in primary_metrics(task, protocol) if metric in rows.index)
    assert rows.loc[primary, "status"] == "ok"
    assert rows.loc[primary, "ci_low"] <= rows.loc[primary, "estimate"] <= rows.loc[primary, "ci_high"]
    assert len(read_resamples(folder / "scores.npz")[primary]) == 100
    assert (folder / f"{task}_{protocol}" / "ceilings.tsv").exists() == (
        protocol in TASKS[task].ceiling_protocols
    )


@pytest.mark.parametrize("task", TASKS)
def test_the_same_command_writes_the_same_bytes(folder: Path, task: str) -> None:
    for name in ("one", "two"):
        score(folder, task, "strict", name)
    for ending in ("tsv", "npz"):
        assert (folder / f"one.{ending}").read_bytes() == (folder / f"two.{ending}").read_bytes()


@pytest.mark.parametrize("task", TASKS)
def test_embeddings_of_other_cells_are_refused(folder: Path, task: str, tmp_path: Path) -> None:
    write_official(tmp_path / "other.h5ad", ["a", "b"], np.ones((2, 3)), {})
    with pytest.raises(DataError, match=r"other\.h5ad: .*2 cells"):
        score(folder, task, "strict", "never", {"embeddings": str(tmp_path / "other.h5ad")})
    assert not (folder / "never.tsv").exists()


def test_a_file_that_holds_no_embeddings_is_named(folder: Path) -> None:
    (folder / "table.h5ad").write_text("cell,1\n", encoding="utf-8")
    with h5py.File(folder / "other.h5ad", "w") as file:
        file["X"] = [1.0]
    for name, words in {
        "none": "no such embeddings file",
        "table": "not a whole HDF5 file",
        "other": "not an embeddings file",
    }.items():
        with pytest.raises(DataError, match=rf"{name}\.h5ad: {words}"):
            score(folder, "label", "strict", "never", {"embeddings": f"{folder}/{name}.h5ad"})


def test_a_reference_that_fails_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    words = ["--task", "trajectory", "--protocol", "strict", "--condition", "blood", "--settings", "{}"]
    with pytest.raises(ConfigError, match="--baseline"):
        make_reference.main([*words, "--cells", f"{folder}/trajectory.h5ad", "--output", f"{tmp_path}/ref"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("protocol", "changed", "divided_by", "words"),
    [
        ("paper", {}, [], "nothing divides the cells"),
        ("paper", {}, ["guide"], "1 sample"),
        ("paper", {"min_cells_per_perturbation": 10_000}, ["guide", "replicate"], "has 10000 cells"),
        ("released", {"min_cells_per_perturbation": 10_000}, ["guide", "replicate"], "has 10000 cells"),
        ("strict", {"cells_per_perturbation": 4000}, ["guide", "replicate"], "lower cells_per_perturbation"),
    ],
)
def test_cells_that_lack_what_a_protocol_needs_have_rows_that_say_so(
    folder: Path, tmp_path: Path, protocol: str, changed: dict[str, Any], divided_by: list[str], words: str
) -> None:
    cells = experiment()
    cells.obs["guide"] = cells.obs["perturbation"].astype(str)
    cells.obs = cells.obs[["perturbation", "is_control", *divided_by]]
    source = write(tmp_path / "cells.h5ad", cells)
    about = ["--task", "perturbation", "--protocol", protocol, "--condition", "c", "--seed", "1"]
    about += ["--cells", str(source), "--settings", json.dumps(QUICK["perturbation"] | changed)]
    make_reference.main([*about, "--output", f"{tmp_path}/reference"])
    about += ["--model", "log_all_genes", "--layer", "official", "--reference", f"{tmp_path}/reference"]
    about += ["--embeddings", f"{folder}/perturbation_log_all_genes.h5ad"]
    score_layer.main([*about, "--output", f"{tmp_path}/scores.tsv", "--resamples", f"{tmp_path}/draws.npz"])
    row = read_scores(tmp_path / "scores.tsv").iloc[0]
    assert (row["status"], row["metric"]) == ("not_available", "spearman")
    assert words in row["reason"] and str(tmp_path) not in row["reason"]
    assert np.isnan(row["estimate"])
    assert sorted(path.name for path in (tmp_path / "reference").iterdir()) == (
        ["ceilings.tsv", "not_available.txt"] if protocol == "strict" else ["not_available.txt"]
    )


def test_nothing_is_written_over_what_was_read(folder: Path, tmp_path: Path) -> None:
    cells = folder / "label.h5ad"
    before = cells.read_bytes()
    with pytest.raises(ConfigError, match="is the input"):
        score(folder, "label", "strict", "never", {"output": str(cells)})
    assert cells.read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    words = ["--task", "perturbation", "--protocol", "released", "--condition", "blood", "--settings", "{}"]
    words += ["--cells", f"{folder}/perturbation.h5ad", "--output", f"{tmp_path}/mine"]
    with pytest.raises(ConfigError, match=r"mine: .*notes\.txt"):
        make_reference.main(words)
    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "notes.txt"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "trajectories"}, "no task 'trajectories'"),
        ({"protocol": "stricter"}, "no label protocol 'stricter'"),
        ({"settings": '{"fold": 3}'}, "fold"),
    ],
)
def test_what_there_is_not_is_refused_by_name(folder: Path, changes: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        score(folder, "label", "strict", "never", changes)


def test_a_wrong_option_ends_in_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        score_layer.main(["--tusk", "trajectory"])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
