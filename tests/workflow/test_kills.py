"""Killed at any moment, the study goes on when it is run again, and ends in the same tables.

Run on request: ``pytest -m slow tests/workflow/test_kills.py``; ``LAYERSCOPE_KILLS`` says how many kills (50
by default), ``LAYERSCOPE_KILLS_SEED`` which. A kill is SIGKILL: of everything, of Snakemake alone (whose jobs
then outlive it), or of one script, whichever the seed says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workflow_study import Checkout, copy_repository

KILLS = int(os.environ.get("LAYERSCOPE_KILLS", "50"))
SEED = int(os.environ.get("LAYERSCOPE_KILLS_SEED", "1"))
PER_RUN = 4
VICTIMS = ("everything", "snakemake", "script")
TARGETS = ["results/tables/layers.tsv", "results/tables/geometry.tsv"]
STUDY: dict[str, Any] = {
    "study": {
        "title": "Tiny",
        "conditions": ["simulated_differentiation"],
        "models": ["tiny", "hvg_pca"],
        "protocols": {"trajectory": ["paper"]},
    },
    "models": {
        "tiny": {
            "family": "scfoundation",
            "layers": 2,
            "weights": {"pretrain": {"cells": "simulated_atlas"}},
        }
    },
    "simulation": {"differentiation": {"cells": 200, "genes": 300}, "atlas": {"cells": 200, "genes": 300}},
    "pretraining": {"steps": 3, "hidden": 16, "heads": 2, "tokens": 16},
    "quality": {"min_genes_per_cell": 20},
    "resampling": {"resamples": 100, "splits": 10},
    "geometry": {"cells": 100, "alignment_cells": 100},
}


class Running:
    """A run of the study in a session of its own, so that it can be killed with all its jobs."""

    def __init__(self, checkout: Checkout) -> None:
        self.log = checkout.folder / "kills.log"
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete", *TARGETS]
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*command, "--configfile", "tiny.yaml"],
                cwd=checkout.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
            )

    def members(self) -> Iterator[tuple[int, str]]:
        """Processes of the session that run: their ids and command lines."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    status = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                    if int(status[3]) == self.process.pid and status[0] != "Z":
                        yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace")

    def kill(self, victim: str) -> str:
        """Kill everything, Snakemake, or the first script that runs (if there is one)."""
        scripts = [found for found, words in self.members() if "\0scripts/" in words or "/scripts/" in words]
        if victim == "script" and scripts:
            victims = scripts[:1]
        elif victim == "snakemake":
            victims = [self.process.pid]
        else:
            victims = [found for found, _ in self.members()]
        for found in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGKILL)
        self.process.wait(timeout=300)
        return victim

    def end(self) -> None:
        """Leave nothing running."""
        self.kill("everything")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = copy_repository(tmp_path_factory.mktemp("killed") / "study")
    checkout.write_config("tiny.yaml", STUDY)
    return checkout


def finish(checkout: Checkout) -> float:
    """Run to the end; a lock that a kill left is taken away first, as Snakemake says to. Seconds it took."""
    start = time.monotonic()
    for _ in range(2):
        checkout.snakemake("--unlock", "--configfile", "tiny.yaml")
        running = Running(checkout)
        status = running.process.wait(timeout=1200)
        if status == 0:
            return time.monotonic() - start
        # a job that outlived its Snakemake may still hold the extraction's folder: wait, as the message says
        assert b"another process is extracting" in running.log.read_bytes()[-20_000:], (
            running.log.read_text()[-8000:]
        )
        time.sleep(20)
    raise AssertionError(running.log.read_text()[-8000:])


def contents(folder: Path) -> dict[str, bytes]:
    """What the study made, by path; hidden scratch files are not looked at."""
    kept = [
        *folder.glob("results/**/*.tsv"),
        *folder.glob("results/**/*.npz"),
        *folder.glob("results/**/*.h5ad"),
    ]
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in kept if not path.name.startswith(".")
    }


def clear(checkout: Checkout) -> None:
    for name in ("results", "resources", "logs", ".snakemake"):
        shutil.rmtree(checkout.folder / name, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for the jobs of a run in /proc")
def test_killed_at_any_moment_the_study_ends_in_the_same_bytes(
    pristine: Checkout, record_property: Callable[[str, object], None]
) -> None:
    seconds = finish(pristine)
    expected = contents(pristine.folder)
    assert len(expected) > 20
    random = np.random.default_rng(SEED)
    done: list[str] = []
    while len(done) < KILLS:
        clear(pristine)
        for _ in range(min(PER_RUN, KILLS - len(done))):
            pristine.snakemake("--unlock", "--configfile", "tiny.yaml")
            running = Running(pristine)
            victim = VICTIMS[random.integers(len(VICTIMS))]
            try:
                running.process.wait(timeout=float(random.uniform(0.02, 0.8)) * seconds)
                break  # it ended before its kill
            except subprocess.TimeoutExpired:
                pass
            done.append(running.kill(victim))
        finish(pristine)
        found = contents(pristine.folder)
        assert found.keys() == expected.keys()
        assert [name for name in expected if found[name] != expected[name]] == [], done
    record_property("kills", {victim: done.count(victim) for victim in VICTIMS})
    print(
        f"{len(done)} kills, a run took {seconds:.0f} s:", {victim: done.count(victim) for victim in VICTIMS}
    )
