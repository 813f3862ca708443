"""The study through a real SLURM: one job is killed, one lacks memory; tables are those of one machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from workflow_study import ROOT, Checkout, copy_repository

pytestmark = pytest.mark.slurm
PROFILE = "workflow/profiles/slurm-ci"
TABLES = ("scores.tsv", "layers.tsv", "published.tsv")

SMALL: dict[str, object] = {
    "study": {
        "title": "One condition of the embedded study",
        "conditions": ["simulated_differentiation"],
        "models": ["embedded_tahoe_x1", "hvg_pca"],
    },
    # each condition and model is extracted by two jobs
    "extraction": {"shards": 2},
}

# less than preparing cells takes on the first attempt, ten times as much on the second
TOO_LITTLE = "prepare_cells:mem_mb=200 if attempt == 1 else 2000"
# resources on the command line take the place of all that the profile sets
SMALL_NODE = ["extract_layers:mem_mb=2000 * attempt", "extract_shard:mem_mb=2000 * attempt"]


@pytest.fixture(scope="module")
def study() -> dict[str, object]:
    """``LAYERSCOPE_SLURM_STUDY`` names the file of the study; by default it is a part of the embedded one."""
    named = os.environ.get("LAYERSCOPE_SLURM_STUDY")
    return yaml.safe_load((ROOT / named).read_text(encoding="utf-8")) if named else SMALL


@pytest.fixture(scope="module")
def alone(study: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a run on this machine, without SLURM, and with each extraction in one piece."""
    checkout = copy_repository(tmp_path_factory.mktemp("alone"))
    name = checkout.write_config("study.yaml", {**study, "extraction": {"shards": 1}})
    run = checkout.snakemake("--configfile", name, cores=len(os.sched_getaffinity(0)))
    assert run.returncode == 0, run.stdout[-8000:]
    return checkout.folder / "results"


class Killer(threading.Thread):
    """Kills with signal 9 the first extraction that runs, as a failing node would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.killed, self.stop = folder, "", threading.Event()

    def run(self) -> None:
        while not self.killed and not self.stop.wait(0.2):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes().decode().split("\0")
                    here = (process / "cwd").resolve() == self.folder
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue  # it has ended meanwhile, or is another's
                if here and "python" in words[0] and any(w.endswith("extract_layers.py") for w in words[1:2]):
                    time.sleep(1)
                    os.kill(int(process.name), signal.SIGKILL)
                    self.killed = " ".join(words)
                    return


@pytest.fixture(scope="module")
def on_slurm(
    cluster: Path, study: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkout, str, str]:
    """The study through SLURM: the checkout, what Snakemake said, and the process that was killed."""
    checkout = copy_repository(tmp_path_factory.mktemp("on_slurm"))
    name = checkout.write_config("study.yaml", study)
    killer = Killer(checkout.folder)
    killer.start()
    arguments = [
        "--workflow-profile",
        PROFILE,
        "--logger",
        "layerscope",
        "--set-resources",
        TOO_LITTLE,
        *SMALL_NODE,
        "--configfile",
        name,
    ]
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=checkout.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": "workflow"},  # where Snakemake finds the logger
    )
    killer.stop.set()
    (cluster / "snakemake.log").write_text(run.stdout, encoding="utf-8")
    assert run.returncode == 0, run.stdout[-8000:]
    return checkout, run.stdout, killer.killed


def test_a_killed_job_and_one_out_of_memory_are_run_again(on_slurm: tuple[Checkout, str, str]) -> None:
    _, said, killed = on_slurm
    assert killed
    failed = [line for line in said.splitlines() if line.startswith("Failed: ")]
    assert any("(rule extract_" in line for line in failed), failed
    assert any("(rule prepare_cells)" in line for line in failed), failed
    assert "Trying to restart job" in said


def test_its_progress_is_told_in_few_lines(on_slurm: tuple[Checkout, str, str]) -> None:
    _, said, _ = on_slurm
    first, *_, last = re.findall(r"^(\d+) of (\d+) jobs, ", said, re.MULTILINE)
    assert first[0] < last[0] == last[1]
    assert "has been submitted" not in said
    assert said.rstrip().splitlines()[-1].startswith("The report is ")


@pytest.mark.parametrize("table", TABLES)
def test_the_tables_are_those_of_one_machine(
    table: str, alone: Path, on_slurm: tuple[Checkout, str, str]
) -> None:
    found = (on_slurm[0].folder / "results/tables" / table).read_bytes()
    assert found == (alone / "tables" / table).read_bytes()


def test_extraction_asked_for_the_gpu(on_slurm: tuple[Checkout, str, str], cluster: Path) -> None:
    jobs = subprocess.run(
        ["squeue", "--states=all", "--noheader", "--Format=Comment:300,tres-per-job:40"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    extraction = [job for job in jobs if "extract_" in job]
    assert extraction
    assert all("gpu:1" in job.split()[-1] for job in extraction), extraction
    others = [job for job in jobs if "prepare_cells" in job]
    assert others
    assert not any("gpu:1" in job.split()[-1] for job in others), others


def test_nothing_is_left_to_be_done(on_slurm: tuple[Checkout, str, str]) -> None:
    assert on_slurm[0].jobs("--configfile", "study.yaml") == {}
