"""Failures of the disk, said in one line."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.errors import SourceError
from layerscope.sources.progress import size

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def said_plainly(path: str | Path) -> Iterator[None]:
    """Turn a full or read-only disk into a message that names the folder.

    Raises
    ------
    SourceError
        If the block fails for want of space or of permission.
    """
    folder = Path(path).parent
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise SourceError(
                f"{folder}: no space left on this disk (or your quota is used up). What has been fetched is "
                "kept: make room and run again"
            ) from error
        if error.errno in REFUSED:
            raise SourceError(f"{folder}: not allowed to write here ({error.strerror})") from error
        raise


def demand_space(path: str | Path, n_bytes: int) -> None:
    """Refuse to start what cannot end for want of space.

    Raises
    ------
    SourceError
        If the disk of ``path`` has fewer than ``n_bytes`` free.
    """
    folder = Path(path).parent
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise SourceError(f"{folder}: {size(n_bytes)} are needed and {size(free)} are free on this disk")
