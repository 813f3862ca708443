"""Archives from elsewhere: decompressed as streams, one member taken by its name."""

from __future__ import annotations

import gzip
import logging
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from layerscope.errors import SourceError
from layerscope.files import whole
from layerscope.sources.addresses import Expected
from layerscope.sources.manifest import sha256

LOG = logging.getLogger(__name__)
MAX_NAMES_SHOWN = 20


class DamagedError(SourceError):
    """A file that came and cannot be what was written: cut off, or changed."""


def gunzip(source: str | Path, output: str | Path) -> None:
    """Decompress a gzip file, whole or not at all; raises SourceError if it is none, or damaged."""
    with whole(output) as scratch, _damage_named(source), gzip.open(source, "rb") as content:
        _copy(content, scratch)


def extract_member(
    archive: str | Path, member: str, output: str | Path, expected: Expected | None = None
) -> None:
    """Take one file out of a tar archive, compressed or not; its name there is never used as a path.

    A file of that name in another folder of the archive will do, with a warning. Raises SourceError if there
    is none, DamagedError if the file, or the archive, is not what it must be.
    """
    names: list[str] = []
    if _taken(archive, member, output, expected or Expected(), names):
        return
    elsewhere = [name for name in names if PurePosixPath(name).name == PurePosixPath(member).name]
    if len(elsewhere) == 1:
        LOG.warning("%s: no member %r; taking %r", Path(archive).name, member, elsewhere[0])
        _taken(archive, elsewhere[0], output, expected or Expected(), [])
        return
    shown = ", ".join(names[:MAX_NAMES_SHOWN]) + (", ..." if len(names) > MAX_NAMES_SHOWN else "")
    raise SourceError(f"{Path(archive).name}: no member {member!r}; there are {shown}")


def _taken(
    archive: str | Path, member: str, output: str | Path, expected: Expected, names: list[str]
) -> bool:
    """Take a file out, if it is there; the names of all entries before it are added to ``names``."""
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
                _demand(scratch, expected, f"{Path(archive).name}: member {entry.name!r}")
            return True
    return False


def _demand(path: Path, expected: Expected, what: str) -> None:
    size = path.stat().st_size
    if expected.size not in (None, size):
        raise DamagedError(f"{what}: expected {expected.size:,} bytes, found {size:,}")
    if expected.sha256 is not None and sha256(path) != expected.sha256:
        raise DamagedError(f"{what}: expected the SHA-256 {expected.sha256}, found {sha256(path)}")


def _copy(content: Any, output: Path) -> None:
    with output.open("wb") as stream:
        shutil.copyfileobj(content, stream, 1 << 20)


@contextmanager
def _damage_named(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise DamagedError(f"{Path(source).name}: truncated or damaged archive ({error})") from error
