"""A new Python, for what must hold in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"


def run_python(*words: object, folder: Path | None = None, packages: Path = WORKFLOW) -> str:
    """What a new Python prints, run in a folder; it must end well."""
    run = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(packages), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
