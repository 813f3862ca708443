"""One scoring job: the files of one layer in, rows and bootstrap values out."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import threadpool_limits

from layerscope.cells.canonical import read_obs
from layerscope.errors import DataError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import depth
from layerscope.tasks.cell_type.design import NoScoreError, design_of
from layerscope.tasks.cell_type.scores import Scored, score_layer, unscored
from layerscope.tasks.cell_type.settings import CellTypeSettings

TASK = "cell_type"


def score_file(
    protocol: str,
    embeddings: Path,
    layer: str,
    cells: Path,
    condition: str,
    model: str,
    settings: CellTypeSettings,
    seed: int,
) -> Scored:
    """Score one layer of an embeddings file by how well it tells cell types apart.

    Parameters
    ----------
    protocol
        For the rows; there is one.
    embeddings, layer
        File of embeddings, and the name of the layer in it.
    cells
        The condition's canonical cells, of which only the table is read.
    condition, model
        Names for the rows.
    settings
        Of the protocol.
    seed
        Of everything that is drawn.

    Raises
    ------
    DataError
        If the file lacks the layer, or the files hold different cells.
    """
    obs = read_obs(cells)
    found = read_layer(embeddings, layer)
    if found.cell_ids != obs.index.tolist():
        raise DataError(
            f"{embeddings}: its {len(found.cell_ids)} cells are not the {len(obs)} cells of {cells} in their "
            "order; extract the layers again from these cells"
        )
    about = {
        "condition": condition,
        "model": model,
        "layer": layer,
        "depth": depth(layer, int(found.provenance.get("n_layers") or 0)),
        "task": TASK,
        "protocol": protocol,
    }
    with threadpool_limits(1):  # the last bits must not depend on the number of threads
        try:
            design = design_of(obs, settings, seed)
            return score_layer(found.matrix, design, settings, about, seed)
        except NoScoreError as none:
            return unscored(about, none, seed)
