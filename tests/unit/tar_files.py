"""Archives made in memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def tar_of(members: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> bytes:
    """An archive of files by name; what is no content is an entry of its own kind."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, content in members.items():
            body = content if isinstance(content, bytes) else b""
            entry = tarfile.TarInfo(name) if isinstance(content, bytes) else content
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return stream.getvalue()
