"""Tables of gene names for a call: a file, or a table of ``config/datasets.yaml`` by its name."""

from __future__ import annotations

import os
from pathlib import Path

from layerscope.doors.models import MIRROR, cache_folder
from layerscope.errors import ConfigError
from layerscope.installation import repository
from layerscope.settings import stated
from layerscope.sources.settings import RemoteFile
from layerscope.study.file import read_study


def gene_names_table(table: str | Path) -> Path:
    """The file of a table of gene names; one of ``config/datasets.yaml`` is fetched once, into the cache."""
    from layerscope.sources.fetch import fetch

    known = read_study(repository() / "config" / "datasets.yaml")["gene_names"]
    if Path(table).exists():
        return Path(table)
    if str(table) not in known:
        raise ConfigError(
            f"gene_names: {str(table)!r} is neither a file nor a known table; known: {', '.join(known)}"
        )
    source = RemoteFile.read(known[str(table)], f"gene_names: {table}")
    file = cache_folder() / "gene_names" / str(table) / source.name
    file.parent.mkdir(parents=True, exist_ok=True)
    fetch(stated(source), file, mirror=os.environ.get(MIRROR))
    return file
