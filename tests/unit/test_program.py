"""The command: its verbs, what they print, and how a mistake ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from program_cells import HUMAN, patients, screen

from layerscope import program
from layerscope.command_line import shown_default
from layerscope.doors import studies
from layerscope.tasks.catalogue import TASKS

ROOT = Path(__file__).parents[2]
VERBS = ("check", "init", "run", "embed", "score", "verify", "models", "tasks")


def call(*words: object) -> None:
    """Run the command in this process."""
    program.main([str(word) for word in words])


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    """Run in a folder of the test, without the cache of whoever runs it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))


def test_the_module_is_the_command_and_starts_without_anything_heavy():
    script = (
        "import sys; from layerscope import program; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert ran.stdout.strip() == "set()"
    ran = subprocess.run(
        [sys.executable, "-m", "layerscope", "--help"], capture_output=True, text=True, env=env, check=True
    )
    assert all(f" {verb} " in ran.stdout for verb in (*VERBS, "--install-completion"))
    assert "Examples:" in ran.stdout


def test_a_reader_who_leaves_early_sees_no_traceback():
    env = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    words = [sys.executable, "-m", "layerscope", "models"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as ran:
        assert ran.stdout is not None and ran.stderr is not None
        ran.stdout.close()
        assert ran.stderr.read() == ""


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb, capsys):
    call(verb, "--help")
    said = capsys.readouterr().out
    assert f"layerscope {verb}" in said.split("Examples:")[1]
    assert "default: ()" not in said and "False]" not in said


def test_help_shows_no_default_that_says_nothing():
    assert [shown_default(value) for value in (None, False, (), "")] == [None] * 4
    assert [shown_default(value) for value in (0, True, "cpu")] == ["0", "True", "cpu"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["bla"], "bla"),
        (["check"], "FILE"),
        (["check", "none.h5ad"], "none.h5ad"),
        (["init", "cells.h5ad", "--tsk", "a"], "--tsk"),
        (["init", "cells.h5ad", "--task", "labels"], "did you mean 'label'"),
        (["init", "cells.h5ad", "--columns", "cell_type=celltype"], "annotation"),
        (["init", "cells.h5ad", "--task", "trajectory"], "--root"),
        (["init", "cells.h5ad", "--task", "perturbation"], "--columns perturbation=COLUMN"),
        (["init", "cells.h5ad", "--output", "cells.h5ad"], "--output"),
        (["run", "none.yaml"], "none.yaml"),
        (["embed", "cells.h5ad", "scgptt"], "did you mean 'scgpt'"),
        (["embed", "cells.h5ad", "scgpt"], "licence"),
        (["embed", "cells.h5ad", "geneformer_v1_10m"], "licence"),
        (["embed", "cells.h5ad", "hvg_pca", "--gene-names", "hgcn"], "known: hgnc"),
        (["score", "cells.h5ad", "--task", "label"], "name what to score"),
        (["score", "cells.h5ad", "X_scvi", "--task", "label", "--label", "annotation"], "X_scVI"),
    ],
)
def test_a_mistake_ends_with_1_and_two_lines_that_name_it(words, named, capsys):
    patients(Path("cells.h5ad"))
    with pytest.raises(SystemExit) as ended:
        call(*words)
    message = str(ended.value.code)
    assert message.startswith("error: ") and named in message
    assert len(message.splitlines()) <= 2


def test_the_table_of_gene_names_that_a_model_needs_is_taken_and_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    patients(Path("cells.h5ad"))
    call("embed", "cells.h5ad", "geneformer_v1_10m", "--dry-run")
    assert "--gene-names hgnc" in capsys.readouterr().err
    call("embed", "cells.h5ad", "scgpt", "--dry-run")
    assert "hgnc" not in capsys.readouterr().err


def test_mouse_cells_and_a_model_of_human_genes_are_refused_with_the_remedy(capsys):
    patients(Path("mice.h5ad"), [name.capitalize() for name in HUMAN])
    with pytest.raises(SystemExit) as ended:
        call("embed", "mice.h5ad", "scgpt", "--dry-run")
    assert "--set 'orthologs={table: hcop_mouse}'" in str(ended.value.code)
    call("embed", "mice.h5ad", "scgpt", "--dry-run", "--set", "orthologs={table: hcop_mouse}")
    call("embed", "mice.h5ad", "uce_4layer", "--dry-run")


def test_check_is_that_of_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    import check_cells

    patients(Path("cells.h5ad"))
    call("check", "cells.h5ad")
    said = capsys.readouterr().out
    check_cells.main(["cells.h5ad"])
    assert capsys.readouterr().out == said


def test_models_are_all_listed_with_what_is_here(capsys):
    from layerscope.doors.models import entries
    from layerscope.models.entries import FoundationModel

    files = entries()["scgpt"]
    assert isinstance(files, FoundationModel) and files.weights.fetch
    for name in files.weights.fetch:
        path = Path("cache/weights/scgpt") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    call("models")
    said = capsys.readouterr().out
    assert set(entries()) <= set(said.replace(",", " ").split())
    rows = {line.split()[0]: line for line in said.split("\n\n")[0].splitlines()}
    assert " cache " in rows["scgpt"] and " cache " not in rows["scfoundation"]
    assert {"12", "512", "symbols"} <= set(rows["scgpt"].split())
    assert "Apache-2.0" in rows["geneformer_v2_104m"]
    # GFLOP: 2 n (4 w^2 + 2 w f) + 4 n^2 w
    for cell in ("33", "1280", "1,070", "1,582", "human, mouse", "8.43"):
        assert f" {cell} " in rows["uce_33layer"]


def test_tasks_are_listed_with_all_their_metrics(capsys):
    call("tasks")
    tasks, metrics = capsys.readouterr().out.split("\n\n")
    assert [line.split()[0] for line in tasks.splitlines()[1:]] == list(TASKS)
    rows = [line.split(maxsplit=2) for line in metrics.splitlines()[1:]]
    assert rows == [
        [task.name, name, metric.label] for task in TASKS.values() for name, metric in task.metrics.items()
    ]


def test_arguments_of_snakemake_are_handed_on_and_so_is_its_status(monkeypatch):
    called: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(words)
        return subprocess.CompletedProcess(words, 3)

    screen(Path("cells.h5ad"))
    call("init", "cells.h5ad")
    monkeypatch.setattr(studies.subprocess, "run", run)
    for words, expected in (
        (["--cores", "2", "-k"], ["--cores", "2", "-k"]),
        (["-c2"], ["-c2"]),
        (["--profile=slurm"], ["--profile=slurm"]),
        (["results/report.html", "--rerun-triggers", "mtime"], [
            "results/report.html", "--rerun-triggers", "mtime", "--cores", "all"
        ]),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            call("run", "study.yaml", *words)
        assert ended.value.code == 3
        assert called[-1][-len(expected) :] == expected
        assert Path(called[-1][called[-1].index("--snakefile") + 1]).samefile(ROOT / "Snakefile")


@pytest.mark.parametrize(
    ("words", "dry"),
    [(["-n"], True), (["--dry-run"], True), (["-np"], True), (["-k"], False), (["--cores", "1"], False)],
)
def test_a_plan_is_told_from_a_run(words, dry):
    assert studies.is_dry(words) == dry


def test_without_snakemake_the_remedy_is_named(monkeypatch):
    screen(Path("cells.h5ad"))
    call("init", "cells.h5ad")
    monkeypatch.setattr(studies.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"layerscope\[workflow\]"):
        call("run", "study.yaml")


def test_embed_and_score_give_what_python_gives(capsys):
    import layerscope as ls

    patients(Path("cells.h5ad"))
    call("embed", "cells.h5ad", "hvg_pca", "--output", "pca.h5ad", "--set", "matrix=X")
    assert "pca.h5ad" in capsys.readouterr().out
    words = ["--task", "label", "--label", "annotation", "--group", "patient"]
    sets = ["resamples=100", "splits=10", "refits=2", "shuffles=2"]
    call("score", "cells.h5ad", "pca.h5ad", "X_scVI", *words, "--set", *sets, "--output", "out/scores.tsv")
    said = capsys.readouterr().out
    assert "hvg_pca" in said and "X_scVI" in said
    rows = ls.score(
        "cells.h5ad",
        [Path("pca.h5ad"), "X_scVI"],
        task="label",
        label="annotation",
        group="patient",
        resamples=100,
        splits=10,
        refits=2,
        shuffles=2,
    ).table
    written = pd.read_csv("out/scores.tsv", sep="\t", dtype={"layer": str})
    assert written["estimate"].tolist() == pytest.approx(rows["estimate"].tolist(), nan_ok=True)


@pytest.mark.parametrize("values", ["", "matrix=X"])
def test_layers_of_some_cells_are_scored_on_these(values, capsys):
    patients(Path("cells.h5ad"))
    call("embed", "cells.h5ad", "hvg_pca", "--output", "pca.h5ad", "--max-cells", 150)
    sets = ["resamples=100", "splits=10", "refits=2", "shuffles=2", *([values] if values else [])]
    words = ["--task", "label", "--label", "annotation", "--output", "scores.tsv", "--set", *sets]
    call("score", "cells.h5ad", "pca.h5ad", "X_scVI", *words)
    assert "150 of 240 cells" in capsys.readouterr().err
    rows = pd.read_csv("scores.tsv", sep="\t")
    assert set(rows["model"]) == {"hvg_pca", "X_scVI"}
    assert set(rows["n_cells"]) == {150}


def test_the_cost_of_a_model_is_told_before_anything_is_fetched(capsys):
    patients(Path("cells.h5ad"))
    costs = {}
    for n_cells in (100, 200):
        call("embed", "cells.h5ad", "scgpt", "-n", "--max-cells", n_cells)
        costs[n_cells] = capsys.readouterr().err
        assert f"scgpt: {n_cells} cells of " in costs[n_cells]
    assert "207 MB to download" in costs[100] and " GFLOP/s (" in costs[100]
    assert not Path("cache").exists()


def test_a_table_of_gene_names_is_fetched_by_name_once(monkeypatch):
    from layerscope.doors import gene_names
    from layerscope.sources import fetch

    asked: list[str] = []

    def fetched(settings: dict[str, str], output: Path, mirror: str | None) -> None:
        asked.append(settings["url"])
        output.write_text("symbol\tensembl_gene_id\n")

    monkeypatch.setattr(fetch, "fetch", fetched)
    table = gene_names.gene_names_table("hgnc")
    assert table.is_file() and table.is_relative_to(Path.cwd() / "cache")
    assert asked[0].endswith(table.name)
    Path("mine.tsv").touch()
    assert gene_names.gene_names_table("mine.tsv") == Path("mine.tsv")
    assert len(asked) == 1
