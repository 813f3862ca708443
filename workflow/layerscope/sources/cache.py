"""The cache of weights that studies and calls share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = "LAYERSCOPE_CACHE"


def named_cache() -> Path | None:
    """The folder that ``$LAYERSCOPE_CACHE`` names; None if it names none."""
    return Path(os.environ[CACHE]).expanduser() if os.environ.get(CACHE) else None


@contextmanager
def weights_folder(cache: Path, model: str) -> Iterator[Path]:
    """Folder of a model's weights in a cache, made and locked: only one at a time fetches into it."""
    folder = cache / "weights" / model
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
