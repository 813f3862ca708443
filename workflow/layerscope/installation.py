"""Where the workflow lies: the repository, or the copy of it that an installed package carries."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
CARRIED = "repository"
"""Folder of an installed package that holds the Snakefile and everything beside it (see ``setup.py``)."""


def repository() -> Path:
    """Folder with ``Snakefile``, ``workflow``, ``config``, ``scripts`` and ``envs``."""
    carried = PACKAGE / CARRIED
    return carried if carried.is_dir() else PACKAGE.parents[1]
