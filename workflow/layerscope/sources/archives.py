"""Archives from elsewhere: decompressed as streams, one member taken by its name."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerscope.errors import SourceError
from layerscope.files import whole

MAX_NAMES_SHOWN = 20


def gunzip(source: str | Path, output: str | Path) -> None:
    """Decompress a gzip file, whole or not at all.

    Raises
    ------
    SourceError
        If it is no gzip file, truncated or damaged.
    """
    with whole(output) as scratch, _damage_named(source), gzip.open(source, "rb") as content:
        _copy(content, scratch)


def extract_member(archive: str | Path, member: str, output: str | Path) -> None:
    """Take one file out of a tar archive, compressed or not; its name there is never used as a path.

    Raises
    ------
    SourceError
        If the archive is truncated or damaged, or holds no regular file of that name.
    """
    names = []
    with _damage_named(archive), tarfile.open(archive, "r:*") as tar:
        for entry in tar:
            names.append(entry.name)
            if entry.name.removeprefix("./") != member.removeprefix("./"):
                continue
            content = tar.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise SourceError(f"{Path(archive).name}: member {entry.name!r} is a link or no regular file")
            with content, whole(output) as scratch:
                _copy(content, scratch)
            return
    shown = ", ".join(names[:MAX_NAMES_SHOWN]) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")
    raise SourceError(f"{Path(archive).name}: no member {member!r}; there are {shown}")


def _copy(content: Any, output: Path) -> None:
    with output.open("wb") as stream:
        shutil.copyfileobj(content, stream, 1 << 20)


@contextmanager
def _damage_named(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise SourceError(f"{Path(source).name}: truncated or damaged archive ({error})") from error
