"""The repository in an empty folder, and a small study run in it once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from workflow_study import SMALL_STUDY, Checkout, copy_repository


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy of the repository, nothing run in it."""
    return copy_repository(tmp_path)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The small study, run to its end once; tests may look at it and plan further runs, not change it."""
    checkout = copy_repository(tmp_path_factory.mktemp("small_study"))
    checkout.write_config("small.yaml", SMALL_STUDY)
    run = checkout.snakemake("--configfile", "small.yaml")
    assert run.returncode == 0, run.stdout[-8000:]
    return checkout


@pytest.fixture
def plan(small_study: Checkout) -> Callable[..., dict[str, int]]:
    """Jobs that the finished small study would run if its configuration were changed."""

    def jobs(**changes: object) -> dict[str, int]:
        name = small_study.write_config("changed.yaml", SMALL_STUDY | changes)
        return small_study.jobs("--configfile", name)

    return jobs
