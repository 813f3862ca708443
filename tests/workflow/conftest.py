"""The repository in an empty folder, and a study run in it once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_study import STUDY, Checkout, copy_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy of the repository, nothing run in it."""
    return copy_repository(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The study, run to its end once; tests may look at it and plan further runs, not change it."""
    checkout = copy_repository(tmp_path_factory.mktemp("finished"))
    checkout.write_config("study.yaml", STUDY)
    run = checkout.snakemake("--configfile", "study.yaml")
    assert run.returncode == 0, run.stdout[-8000:]
    return checkout


@pytest.fixture
def plan(finished: Checkout) -> Callable[..., dict[str, int]]:
    """Jobs that the finished study would run if its configuration were changed."""

    def jobs(**changes: object) -> dict[str, int]:
        name = finished.write_config("changed.yaml", STUDY | changes)
        return finished.jobs("--configfile", name)

    return jobs
