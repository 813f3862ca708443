"""The table of gene names without which models cannot take a file of cells that is here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import pandas as pd

from layerscope.cells.fit import Needs, fit
from layerscope.cells.readers.h5ad import read_genes
from layerscope.cells.settings import Reading
from layerscope.errors import LayerscopeError


def needed_gene_names(path: str, reading: str, models: Iterable[Needs]) -> list[str]:
    """Tables that these models need, mostly none; ``reading`` are the dataset's settings as JSON."""
    genes = _genes(path, reading)
    return (
        []
        if genes is None
        else [table for needs in models if (table := fit(needs, "counts", genes).gene_names)]
    )


@cache
def _genes(path: str, reading: str) -> pd.DataFrame | None:
    """The genes of a file; None if they cannot be read, of which preparing the cells says why."""
    try:
        return read_genes(path, Reading.model_validate_json(reading))
    except (LayerscopeError, OSError):
        return None
