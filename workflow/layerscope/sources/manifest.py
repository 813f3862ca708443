"""What is known of a fetched file, kept beside it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layerscope import __version__
from layerscope.files import whole

BLOCK = 1 << 22


def manifest_path(path: str | Path) -> Path:
    """Where the manifest of a file is."""
    path = Path(path)
    return path.with_name(f"{path.name}.manifest.json")


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read the manifest of a file; empty where there is none, or none that can be read."""
    beside = manifest_path(path)
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def write_manifest(path: str | Path, url: str, **known: Any) -> dict[str, Any]:
    """Write the manifest of a whole file: address, bytes, sha256, date, tool, and what else is known."""
    path = Path(path)
    manifest = {
        "url": url,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        **{key: value for key, value in known.items() if value not in (None, "")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "tool": f"layerscope {__version__}",
    }
    with whole(manifest_path(path)) as scratch:
        scratch.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return _digest(path, "sha256")


def md5(path: str | Path) -> str:
    """MD5 of a file, in hexadecimal (what S3 calls the ETag of an object that was uploaded in one part)."""
    return _digest(path, "md5")


def _digest(path: str | Path, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with Path(path).open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
