"""Archives from elsewhere, opened as if they meant harm: streams, members by name, limits."""

from __future__ import annotations

import gzip
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from layerscope.errors import SourceError
from layerscope.files import whole
from layerscope.sources.disk import said_plainly
from layerscope.sources.progress import size

BLOCK = 1 << 20
LARGEST = 1 << 41
MOST_MEMBERS = 1_000_000


def gunzip(source: str | Path, output: str | Path, largest: int = LARGEST) -> None:
    """Decompress a gzip file as a stream, whole or not at all.

    Parameters
    ----------
    source, output
        The compressed file, and where its content goes.
    largest
        Bytes above which the content is refused.

    Raises
    ------
    SourceError
        If the file is no gzip file, is truncated or damaged, or holds more than ``largest`` bytes.
    """
    with said_plainly(output), whole(output) as scratch, scratch.open("wb") as stream, _damage(source):
        written = 0
        with gzip.open(source, "rb") as compressed:
            while block := compressed.read(BLOCK):
                written += len(block)
                if written > largest:
                    raise SourceError(f"{Path(source).name}: holds more than {size(largest)}")
                stream.write(block)


def extract_member(archive: str | Path, member: str, output: str | Path, largest: int = LARGEST) -> None:
    """Take one file out of a tar archive (compressed or not), read as a stream.

    The member's name is only compared, never used as a path.

    Raises
    ------
    SourceError
        If there is no regular file of that name, or it is larger than ``largest``; the message lists what
        there is.
    """
    listed = []
    with _damage(archive), tarfile.open(archive, "r:*") as tar:
        for entry in _members(archive, tar):
            listed.append(entry.name)
            if entry.name.removeprefix("./") == member.removeprefix("./"):
                _demand_harmless(archive, entry, largest)
                with said_plainly(output), whole(output) as scratch:
                    _copy(archive, tar, entry, scratch)
                return
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    raise SourceError(f"{Path(archive).name}: no member {member!r}; there are {', '.join(listed[:20])}{more}")


def _members(archive: str | Path, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, entry in enumerate(tar):
        if number >= MOST_MEMBERS:
            raise SourceError(f"{Path(archive).name}: more than {MOST_MEMBERS:,} members")
        yield entry


def _demand_harmless(archive: str | Path, entry: tarfile.TarInfo, largest: int) -> None:
    path = PurePosixPath(entry.name)
    where = f"{Path(archive).name}: member {entry.name!r}"
    if path.is_absolute() or ".." in path.parts or "\\" in entry.name or not path.parts or "\0" in entry.name:
        raise SourceError(f"{where}: its path leads out of the archive")
    if not entry.isreg():
        kind = "a link" if entry.issym() or entry.islnk() else "no regular file"
        raise SourceError(f"{where}: it is {kind}")
    if entry.size > largest:
        raise SourceError(f"{where}: it holds {size(entry.size)}, more than {size(largest)}")


def _copy(archive: str | Path, tar: tarfile.TarFile, entry: tarfile.TarInfo, output: Path) -> None:
    content = tar.extractfile(entry)
    if content is None:
        raise SourceError(f"{Path(archive).name}: member {entry.name!r}: it is no regular file")
    with content, output.open("wb") as stream:
        shutil.copyfileobj(content, stream, BLOCK)
    output.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)


@contextmanager
def _damage(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise SourceError(f"{Path(source).name}: truncated or damaged archive ({error})") from error
