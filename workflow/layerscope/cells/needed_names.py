"""The table of gene names without which models cannot take cells that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pandas as pd

from layerscope.cells.fit import Needs, fit
from layerscope.cells.orthologs import OrthologTable
from layerscope.cells.readers.h5ad import read_genes
from layerscope.cells.settings import Reading
from layerscope.errors import LayerscopeError


def needed_gene_names(path: str, reading: str, models: Iterable[Needs]) -> list[str]:
    """Tables that models need for a file, mostly none; ``reading`` are its dataset's settings as JSON."""
    genes = _genes(path, reading)
    return [] if genes is None else tables_for(genes, models)


def tables_for(genes: pd.DataFrame, models: Iterable[Needs]) -> list[str]:
    """Tables that these models need for these genes."""
    return [table for needs in models if (table := fit(needs, "counts", genes).gene_names)]


def genes_as_prepared(read: Callable[[Reading], pd.DataFrame], reading: Reading) -> pd.DataFrame | None:
    """The genes that prepared cells will have; None where a table of orthologs is yet to be fetched."""
    if reading.orthologs is None:
        return read(reading)
    if not Path(reading.orthologs.table).is_file():
        return None
    return OrthologTable.read(reading.orthologs.table).map(read(reading), reading.orthologs.policy)[0]


@cache
def _genes(path: str, reading: str) -> pd.DataFrame | None:
    """Those of a file; None, too, if it cannot be read, of which preparing the cells says why.

    A folder is a zarr store, which would have to be copied to be read.
    """
    if Path(path).is_dir():
        return None
    try:
        return genes_as_prepared(lambda how: read_genes(path, how), Reading.model_validate_json(reading))
    except (LayerscopeError, OSError):
        return None
