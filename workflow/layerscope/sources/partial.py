"""A download that is under way: the bytes that have come, and of which version of the file they are."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from layerscope.files import whole
from layerscope.sources.transport import Version


class Partial:
    """``.download.NAME`` beside the file that will be, and a journal that names its address and version."""

    def __init__(self, output: Path, url: str) -> None:
        self.path = output.with_name(f".download.{output.name}")
        self._journal = output.with_name(f".download.{output.name}.json")
        self._url = url
        output.parent.mkdir(parents=True, exist_ok=True)
        self.version = self._journaled_version()
        if self.version is None:
            self.discard()

    def _journaled_version(self) -> Version | None:
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            same = journal["url"] == self._url and self.path.is_file()
            return Version(**journal["version"]) if same else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.version is not None else 0

    @property
    def complete(self) -> bool:
        """Whether all have come; False where the size of the file is unknown."""
        return self.version is not None and self.size == self.version.size

    def begin(self, version: Version) -> None:
        """Start with the first byte of a version."""
        self.discard()
        self.path.touch()
        with whole(self._journal) as scratch:
            scratch.write_text(json.dumps({"url": self._url, "version": asdict(version)}), encoding="utf-8")
        self.version = version

    def discard(self) -> None:
        """Delete what has come."""
        self.version = None
        self.path.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
