"""Files that are either whole or absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRATCH = ".partial."


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a scratch path beside ``path`` that takes its name only if the block succeeds.

    Parameters
    ----------
    path
        The file to make. Its folder is created if need be.

    Yields
    ------
    The path to write to, with the suffixes of ``path`` (so that format-by-suffix writers work). It is removed
    if the block raises; after a kill it is left behind under a hidden name that no later step reads.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{SCRATCH}{path.name}")
    scratch.unlink(missing_ok=True)
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk, say, for the message
        raise
    finally:
        scratch.unlink(missing_ok=True)
