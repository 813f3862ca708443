"""What a file is, told from its first bytes: downloads end up under the wrong name."""

from __future__ import annotations

import zipfile
from pathlib import Path

SAFETENSORS = "a safetensors file"
TORCH = "a PyTorch checkpoint"
PICKLE = "a pickle"
ZIP = "a zip archive"
WEB_PAGE = "a web page"
ARCHIVES = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
}
DATA = {b"\x89HDF\r\n\x1a\n": "an HDF5 file", b"\x93NUMPY": "a NumPy file"}
TAR = slice(257, 262)
WEB = (b"<!doctype html", b"<html")
TORCH_ENTRY = "data.pkl"
UNPACK = (*ARCHIVES.values(), "a tar archive", ZIP)


def kind_of(path: Path) -> str:
    """Name what a file is; ``""`` for text and for what is not known."""
    with path.open("rb") as stream:
        head = stream.read(512)
    for start, kind in {**ARCHIVES, **DATA}.items():
        if head.startswith(start):
            return kind
    if head[TAR] == b"ustar":
        return "a tar archive"
    if head.startswith(b"PK\x03\x04"):
        return TORCH if _is_torch(path) else ZIP
    if head.lstrip().lower().startswith(WEB):
        return WEB_PAGE
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return SAFETENSORS
    return PICKLE if head[:1] == b"\x80" and 2 <= int.from_bytes(head[1:2]) <= 5 else ""


def _is_torch(path: Path) -> bool:
    """Whether a zip archive is a checkpoint; one whose list of entries cannot be read counts as one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(Path(name).name == TORCH_ENTRY for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return True
