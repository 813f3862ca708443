"""What is known of a fetched file, kept beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layerscope import __version__
from layerscope.files import whole

SUFFIX = ".manifest.json"


def manifest_path(path: str | Path) -> Path:
    """Where the manifest of a file is."""
    return Path(f"{path}{SUFFIX}")


def is_manifest(path: Path) -> bool:
    """Whether a file is the manifest of another."""
    return path.name.endswith(SUFFIX)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read the manifest of a file; empty where there is none, or none that can be read."""
    try:
        manifest = json.loads(manifest_path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def write_manifest(path: str | Path, url: str, digest: str = "", **more: Any) -> dict[str, Any]:
    """Write the manifest of a whole file: address, bytes, SHA-256, date, tool, and what else is known."""
    manifest = {
        "url": url,
        "bytes": Path(path).stat().st_size,
        "sha256": digest or sha256(path),
        **{key: value for key, value in more.items() if value not in (None, "")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": f"layerscope {__version__}",
    }
    with whole(manifest_path(path)) as scratch:
        scratch.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def is_unchanged(path: str | Path, manifest: Mapping[str, Any]) -> bool:
    """Whether a file is still the one that its manifest was written of."""
    return Path(path).stat().st_size == manifest.get("bytes") and sha256(path) == manifest.get("sha256")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def md5(path: str | Path) -> str:
    """MD5 of a file, in hexadecimal (S3's ETag of an object that was uploaded in one part)."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
