"""The cache of weights that studies and calls share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.files import locked

CACHE = "LAYERSCOPE_CACHE"


def named_cache() -> Path | None:
    """The folder that ``$LAYERSCOPE_CACHE`` names; None if it names none."""
    return Path(os.environ[CACHE]).expanduser() if os.environ.get(CACHE) else None


@contextmanager
def weights_folder(cache: Path, model: str) -> Iterator[Path]:
    """Folder of a model's weights in a cache, made and locked: only one at a time fetches into it."""
    folder = cache / "weights" / model
    with locked(folder / ".lock"):
        yield folder
