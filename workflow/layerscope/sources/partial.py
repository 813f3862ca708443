"""A download that is under way: what has come so far, and of which version of the file."""

from __future__ import annotations

import json
from pathlib import Path

from layerscope.files import whole
from layerscope.sources.transport import Version


class Partial:
    """The bytes of a file that have come so far, kept beside where it will be, under a hidden name.

    Parameters
    ----------
    output
        The file that will be.
    url
        Its address; bytes that came from another address are not used.
    """

    def __init__(self, output: str | Path, url: str) -> None:
        output = Path(output)
        self.path = output.with_name(f".download.{output.name}")
        self._journal = output.with_name(f".download.{output.name}.json")
        self._url = url
        self.version: Version | None = None
        output.parent.mkdir(parents=True, exist_ok=True)
        if not self._load():
            self.discard()

    def _load(self) -> bool:
        if not self.path.is_file() or not self._journal.is_file():
            return False
        try:
            known = json.loads(self._journal.read_text(encoding="utf-8"))
            self.version = Version(**known["version"])
        except (json.JSONDecodeError, KeyError, TypeError):
            return False
        return bool(known.get("url") == self._url)

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def complete(self) -> bool:
        """Whether all has come."""
        return self.version is not None and self.version.size is not None and self.size == self.version.size

    def begin(self, version: Version) -> None:
        """Start anew, with this version of the file."""
        self.discard()
        self.version = version
        with whole(self._journal) as scratch:
            known = {"size": version.size, "etag": version.etag, "modified": version.modified}
            scratch.write_text(json.dumps({"url": self._url, "version": known}), encoding="utf-8")
        self.path.touch()

    def discard(self) -> None:
        """Forget what has come."""
        self.version = None
        self.path.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)
