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
from layerscope.files import whole

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

    Raises
    ------
    DataError
        If a file or the layer is missing, or the two files are not of the same cells.
    """
    from anndata import AnnData

    found = read_layer(embeddings, layer)
    with open_h5ad(cells) as stored:
        obs = read_table(stored["obs"])
    if list(obs.index) != found.cell_ids:
        raise DataError(f"{embeddings}: its cells are not those of {cells}; extract the layers again")
    kept = np.array([not reason for reason in found.refused], dtype=bool)
    if not kept.all():
        log.warning("refused cells that are left out: %d", int((~kept).sum()))
    names = pd.Index([f"dimension_{i}" for i in range(found.matrix.shape[1])])
    made = AnnData(
        found.matrix[kept],
        obs=obs[kept],
        var=pd.DataFrame(index=names),
        uns={PROVENANCE: json.dumps({**found.provenance, "layer": layer}, indent=1, sort_keys=True)},
    )
    with whole(output) as scratch:
        made.write_h5ad(scratch)
