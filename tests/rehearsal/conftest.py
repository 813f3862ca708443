"""The servers that stand in for the real hosts, and the study of the paper run against them once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mirror_files import write_files
from mirror_servers import Servers
from rehearsed_study import Rehearsal

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "rehearsal"


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """nginx and the bucket, with synthetic files in the layouts of the real ones."""
    shutil.rmtree(PLACE, ignore_errors=True)
    files = write_files(PLACE / "files")
    with Servers(PLACE, files) as running:
        yield running
    shutil.rmtree(PLACE / "files")


@pytest.fixture(scope="session")
def rehearsal(servers: Servers) -> Rehearsal:
    """The paper's study, run to its end; what it leaves lies under build/rehearsal/run."""
    rehearsal = Rehearsal(PLACE / "run", servers, os.environ.get("CORES", "all"))
    print(f"\nlog of the run: {rehearsal.log}", file=sys.__stderr__)
    assert rehearsal.snakemake() == 0, rehearsal.log.read_text(encoding="utf-8")[-6000:]
    rehearsal.served = servers.served()
    return rehearsal
