"""Files that are either whole or absent."""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerscope.errors import ConfigError

SCRATCH = re.compile(r"\.partial\.[0-9a-f]{8}\.")


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a scratch path beside ``path`` that takes its name only if the block succeeds.

    The scratch path has the suffixes of ``path``, so that format-by-suffix writers work. It is removed if the
    block raises; after a kill it is left behind under a hidden name that no later step reads, and is removed
    by the next who writes to ``path``. The name is of this writer alone: a process that outlived the kill of
    the workflow that started it can neither finish nor spoil what another has begun since. The folder is
    made. A format that stores the name of its file (PyTorch's) is to be written through a stream.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # /dev/null, say, which its superuser would lose
        raise ConfigError(f"{path}: the output is there and is no file; name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.iterdir():
        if left.name.endswith(path.name) and SCRATCH.sub("", left.name) == path.name != left.name:
            left.unlink(missing_ok=True)
    scratch = path.with_name(f".partial.{secrets.token_hex(4)}.{path.name}")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk, say, for the message
        raise
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty scratch folder beside ``path`` that takes its name only if the block succeeds.

    What has the name of ``path`` is replaced if it is a folder of files of the same names; it is refused
    (ConfigError) if it holds anything else.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".partial.*.{path.name}"):
        if SCRATCH.sub("", left.name) == path.name:
            shutil.rmtree(left)
    scratch = path.with_name(f".partial.{secrets.token_hex(4)}.{path.name}")
    scratch.mkdir()
    try:
        yield scratch
        if path.is_dir():
            others = {file.name for file in path.iterdir() if not file.name.startswith(".snakemake")}
            others -= {file.name for file in scratch.iterdir()}
            if others:
                raise ConfigError(f"{path}: the folder holds {min(others)}; name one that can be made anew")
            shutil.rmtree(path)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Wait until no other process holds the lock of this name; its folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def refuse_overwriting(output: str | Path, *inputs: str | Path) -> None:
    """Raise ConfigError if a file to be written is one of the files to be read, under whatever name."""
    for path in map(Path, inputs):
        if path.exists() and Path(output).exists() and path.samefile(output):
            raise ConfigError(f"{output}: the output is the input {path}; choose another output")


def final_name(scratch: str) -> str:
    """The path that a scratch path was to become; any other path as it is."""
    return SCRATCH.sub("", scratch)
