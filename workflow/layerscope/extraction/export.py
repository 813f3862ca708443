"""One layer as cells that scanpy can work on at once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from layerscope.cells.h5ad_file import open_h5ad, read_table
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import PROVENANCE, read_layer
from layerscope.files import refuse_overwriting, whole

log = logging.getLogger(__name__)


def export_layer(embeddings: Path, cells: Path, layer: str, output: Path) -> None:
    """Write one layer as ``X``, with the table of the cells it was made from.

    Parameters
    ----------
    embeddings
        An embeddings file.
    cells
        The file of cells that it was made from.
    layer
        ``"00"``, ``"01"`` ... or ``"official"``.
    output
        AnnData: cells x dimensions, float32, ``obs`` as in ``cells``, provenance in ``uns["layerscope"]``.
        Refused cells, which have no representation, are left out.
    """
    from anndata import AnnData

    refuse_overwriting(output, embeddings, cells)
    embedding = read_layer(embeddings, layer)
    with open_h5ad(cells) as file:
        obs = read_table(file["obs"])
    if list(obs.index) != embedding.cell_ids:
        raise DataError(f"{embeddings}: its cells are not those of {cells}; extract the layers again")
    accepted = np.array([not reason for reason in embedding.refused], dtype=bool)
    if not accepted.all():
        log.warning("refused cells that are left out: %d", int((~accepted).sum()))
    var = pd.DataFrame(index=[f"dimension_{i}" for i in range(embedding.matrix.shape[1])])
    provenance = json.dumps({**embedding.provenance, "layer": layer}, indent=1, sort_keys=True)
    exported = AnnData(embedding.matrix[accepted], obs[accepted], var, uns={PROVENANCE: provenance})
    with whole(output) as scratch:
        exported.write_h5ad(scratch)
