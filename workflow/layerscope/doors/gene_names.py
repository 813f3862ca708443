"""Tables of gene names for a call: a file, or a table of ``config/datasets.yaml`` by its name."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.cells.needed_names import genes_as_prepared, tables_for
from layerscope.cells.readers import h5ad, in_memory
from layerscope.cells.settings import CellSettings
from layerscope.doors.models import MIRROR, cache_folder
from layerscope.errors import ConfigError
from layerscope.installation import repository
from layerscope.models.catalogue import FAMILIES
from layerscope.settings import stated
from layerscope.sources.settings import RemoteFile
from layerscope.study_file import read_study

if TYPE_CHECKING:
    from layerscope.doors.cells import Cells

log = logging.getLogger(__name__)


def needed_gene_names(cells: Cells, family: str, settings: Mapping[str, Any]) -> str | None:
    """The table without which a model cannot take these cells; None if it can, or nothing helps."""
    chosen = CellSettings.read(settings, "cells")
    if chosen.kind != "h5ad":
        return None
    reader: Any = h5ad if isinstance(cells, str | Path) else in_memory
    genes = genes_as_prepared(lambda reading: reader.read_genes(cells, reading), chosen)
    table = "" if genes is None else next(iter(tables_for(genes, [FAMILIES[family]])), "")
    if table:
        log.info("genes are named otherwise than %s names them: their other names are from %s", family, table)
    return table or None


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
