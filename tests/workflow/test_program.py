"""From a file to a planned study without an editor; and the workflow as a module of another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anndata
import pytest
from workflow_study import Checkout, blood, copy_repository

MODULE = """
configfile: "study.yaml"

module layerscope:
    snakefile: {snakefile}
    config: config

use rule * from layerscope as ls_*

rule mine:
    default_target: True
    input: rules.ls_all.input
"""


def command(folder: Path, checkout: Checkout, *words: str, program: str = "layerscope") -> str:
    """What a module of Python prints, run in a folder with the package of a checkout."""
    ran = subprocess.run(
        [sys.executable, "-m", program, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ
        | {
            "PYTHONPATH": str(checkout.folder / "workflow"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "LAYERSCOPE_CACHE": str(folder / "weights"),
        },
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """The repository, in another folder than the study."""
    (tmp_path / "a folder of code").mkdir()
    return copy_repository(tmp_path / "a folder of code")


@pytest.fixture
def folder(tmp_path: Path, checkout: Checkout) -> Path:
    """A folder far from the repository, with a file of cells and a study of it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    blood(folder / "pbmc.h5ad")
    command(folder, checkout, "init", "pbmc.h5ad")
    return folder


def test_a_file_becomes_a_planned_study_in_any_folder_with_what_it_costs(
    folder: Path, checkout: Checkout
) -> None:
    words = ["--models", "geneformer_v1_10m", "--accept-licence", "--output", "layers.yaml"]
    command(folder, checkout, "init", "pbmc.h5ad", *words)
    said = command(folder, checkout, "run", "layers.yaml", "-n")
    for rule in ("fetch_weights", "extract_layers", "import_embeddings", "compute_baseline", "write_report"):
        assert rule in said
    cost = said.split("will take", 1)[1]
    assert "geneformer_v1_10m_untrained_1" in cost and "GFLOP/s" in cost and "to download" in cost
    assert {path.name for path in folder.iterdir()} <= {
        "pbmc.h5ad",
        "study.yaml",
        "layers.yaml",
        ".snakemake",
        "cache",
    }


def test_the_workflow_is_a_module_of_another(folder: Path, checkout: Checkout) -> None:
    snakefile = repr(str(checkout.folder / "workflow" / "Snakefile"))
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    planned = command(folder, checkout, "--cores", "1", "-n", program="snakemake")
    assert "ls_write_report" in planned and "mine" in planned
    command(folder, checkout, "--cores", "1", "results/cells/pbmc/cells.h5ad", program="snakemake")
    assert len(anndata.read_h5ad(folder / "results/cells/pbmc/cells.h5ad")) == 360


def test_a_module_that_is_fetched_takes_the_installed_package(folder: Path, checkout: Checkout) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", str(checkout.folder)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    snakefile = f'gitfile({str(checkout.folder)!r}, path="workflow/Snakefile", tag="v1")'
    (folder / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    planned = command(folder, checkout, "--cores", "1", "-n", program="snakemake")
    assert "ls_write_report" in planned
