"""Real cells that come with an installed package; tests that need them are skipped where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.errors import ConfigError
from layerscope.sources.settings import PackageFile


def pbmc68k() -> Path:
    """The 700 blood cells of scanpy's wheel."""
    try:
        return Path(PackageFile(name="scanpy", file="datasets/10x_pbmc68k_reduced.h5ad").path)
    except ConfigError as error:
        pytest.skip(str(error))
