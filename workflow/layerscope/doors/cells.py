"""What a call is given becomes canonical cells, by the steps of the workflow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.cells.canonical import standard_table
from layerscope.cells.h5ad_file import read_index
from layerscope.cells.labels import among
from layerscope.cells.needed_names import genes_as_prepared, tables_for
from layerscope.cells.prepare import READERS, joined, prepare, write_prepared
from layerscope.cells.readers import h5ad, in_memory
from layerscope.cells.settings import CellSettings
from layerscope.cells.zarr_store import open_store
from layerscope.doors.gene_names import gene_names_table
from layerscope.errors import DataError
from layerscope.models.catalogue import FAMILIES

if TYPE_CHECKING:
    from anndata import AnnData

log = logging.getLogger(__name__)

Cells: TypeAlias = "AnnData | str | Path"  # an AnnData in memory or backed, or the path of an h5ad file


def prepared(
    cells: Cells,
    settings: Mapping[str, Any],
    condition: str,
    folder: Path,
    gene_names: str | Path | None = None,
) -> Path:
    """Write canonical cells into a folder, as ``prepare_cells`` does; the file.

    ``gene_names`` is the file or the name of a table, where the cells have only symbols or Ensembl ids.
    """
    output, summary = folder / "cells.h5ad", folder / "summary.tsv"
    gene_names = gene_names_table(gene_names) if gene_names is not None else None
    settings = with_orthologs_file(settings)
    if isinstance(cells, str | Path):
        prepare([cells], settings, condition, output, summary, gene_names)
    else:
        chosen = CellSettings.read(settings, condition)
        sources = [in_memory.read(cells, chosen)]
        write_prepared(joined(sources, chosen, condition, gene_names), [output, summary])
    return output


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


def with_orthologs_file(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the file of a table of orthologs that they name."""
    orthologs = settings.get("orthologs")
    if not isinstance(orthologs, Mapping) or "table" not in orthologs:
        return dict(settings)
    return {**settings, "orthologs": {**orthologs, "table": str(gene_names_table(orthologs["table"]))}}


def labelled(cells: Cells, settings: Mapping[str, Any], condition: str) -> pd.DataFrame:
    """The cells' table alone, of those that the settings do not leave out; values are not looked at."""
    chosen = CellSettings.read({**settings, "orthologs": None}, condition)
    if not isinstance(cells, str | Path):
        sources = [in_memory.read_labels(cells, chosen)]
    elif chosen.kind == "h5ad":
        sources = [h5ad.read_labels(cells, chosen)]
    else:
        sources = READERS[chosen.kind]([cells], chosen)
    labels = joined(sources, chosen, condition)
    return standard_table(labels.obs[labels.summary.remaining], condition)


def names_of(cells: Cells) -> list[str]:
    """Names of all cells, in their order."""
    if not isinstance(cells, str | Path):
        return [str(name) for name in cells.obs_names]
    with open_store(cells) as file:
        return read_index(file["obs"])


def stored_embedding(cells: Cells, key: str) -> npt.NDArray[Any]:
    """An array of ``obsm``, shape ``(n_cells, width)``; a DataError if there is none of that name."""
    name = key.removeprefix("obsm/")
    if not isinstance(cells, str | Path):
        _demand_key(name, list(cells.obsm), "adata")
        return as_array(cells.obsm[name])
    from anndata.io import read_elem

    with open_store(cells) as file:
        _demand_key(name, list(file.get("obsm", {})), str(cells))
        return as_array(read_elem(file["obsm"][name]))


def _demand_key(key: str, keys: list[str], where: str) -> None:
    if key not in keys:
        raise DataError(f"{where}: no array {key!r} in obsm; {among(key, keys)}")


def as_array(values: Any) -> npt.NDArray[Any]:
    """Values of an embedding, be they a table, a sparse matrix or a tensor."""
    if hasattr(values, "toarray"):
        return np.asarray(values.toarray())
    if hasattr(values, "detach"):
        return np.asarray(values.detach().cpu().float().numpy())  # NumPy has no bfloat16
    return np.asarray(values)
