"""That the weights which run are the ones that were meant: unchanged, of known checksums, and finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from layerscope.errors import ModelError
from layerscope.sources.manifest import read_manifest, sha256

BLOCK = 1 << 22
MAPS = Path("/proc/self/maps")
_FILES_READ: ContextVar[list[Path] | None] = ContextVar("files_read", default=None)


@contextmanager
def files_read() -> Iterator[list[Path]]:
    """Collect the files of a release that are read within the block."""
    files: list[Path] = []
    token = _FILES_READ.set(files)
    try:
        yield files
    finally:
        _FILES_READ.reset(token)


def note_read(path: Path) -> None:
    """Say that a file of a release is read, to whom collects them."""
    files = _FILES_READ.get()
    if files is not None and path not in files:
        files.append(path)


def digest(path: Path) -> str:
    """SHA-256 of a file, computed once by a process as long as the file stays as it is."""
    status = path.stat()
    return _digest(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256(path)


def demand_checksum(path: Path, expected: str, source: str) -> None:
    """Refuse a file of another SHA-256 than is known of it; ``source`` says who knows it."""
    if digest(path) != expected.lower():
        raise ModelError(
            f"{path}: its SHA-256 is {digest(path)}, but {source} says {expected}: the file was changed, or "
            "is another one. Delete it and fetch it again"
        )


def demand_unchanged(path: Path) -> None:
    """Refuse a file that is no longer the one that was fetched, as the manifest beside it has it."""
    manifest = read_manifest(path)
    if "sha256" in manifest:
        demand_checksum(path, manifest["sha256"], f"its manifest of {manifest.get('date', 'the download')}")


def demand_finite(tensor: Tensor, name: str, path: Path, *, in_file: bool = False) -> None:
    """Refuse a tensor with NaN or infinity in it, by its name.

    With ``in_file`` one that lies in a memory map is read from its file: the pages of a table, of which only
    some rows will be used, would otherwise stay in memory.
    """
    blocks = _blocks_of_file(tensor) if in_file else iter([tensor])
    n_wrong = sum(_n_wrong(block) for block in blocks)
    if n_wrong:
        raise ModelError(
            f"{path}: {name} holds {n_wrong} of {tensor.numel()} numbers that are NaN or infinite: the file "
            "is damaged, or was stored so; fetch it again"
        )


def _n_wrong(tensor: Tensor) -> int:
    """How many numbers are not finite: none where the sum is, which costs no memory but may overflow."""
    if bool(torch.isfinite(tensor.sum())):
        return 0
    parts = torch.split(tensor.reshape(-1), BLOCK)
    return sum(int((~torch.isfinite(part)).sum()) for part in parts)


def _blocks_of_file(tensor: Tensor) -> Iterator[Tensor]:
    """The numbers of a tensor, read from the file that it is mapped from; itself where it is not mapped."""
    place = _place_in_file(tensor) if tensor.is_contiguous() else None
    if place is None:
        yield tensor
        return
    path, offset = place
    with path.open("rb") as stream:
        stream.seek(offset)
        left = tensor.numel()
        while left:
            content = bytearray(stream.read(min(left, BLOCK) * tensor.itemsize))
            block = torch.frombuffer(content, dtype=tensor.dtype)
            left -= len(block)
            yield block


def _place_in_file(tensor: Tensor) -> tuple[Path, int] | None:
    """The file of a memory map, and where in it a tensor begins; None where the system does not say."""
    if not MAPS.is_file():
        return None
    address = tensor.data_ptr()
    for line in MAPS.read_text().splitlines():
        span, _, offset, _, _, *name = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in span.split("-"))
        if start <= address < end:
            # a map of something else than a whole file that is still there is memory
            whole = name and address + tensor.nbytes <= end and Path(name[0]).is_file()
            return (Path(name[0]), int(offset, 16) + address - start) if whole else None
    return None
