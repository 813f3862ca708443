"""One scoring job: the files of one layer in, rows and bootstrap values out."""

from __future__ import annotations

from pathlib import Path

from layerscope.cells.canonical import read_obs
from layerscope.errors import ConfigError
from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import depth
from layerscope.trajectory.references import demand_same_cells, read_reference
from layerscope.trajectory.scores import Scored, Subject, score_paper
from layerscope.trajectory.settings import TrajectorySettings

PROTOCOLS = ("paper",)


def score_file(
    protocol: str,
    embeddings: Path,
    layer: str,
    cells: Path,
    reference: Path,
    condition: str,
    model: str,
    settings: TrajectorySettings,
    seed: int,
    threads: int = 1,
) -> Scored:
    """Score one layer of an embeddings file.

    Raises
    ------
    ConfigError
        If there is no such protocol.
    DataError
        If a file lacks the layer, or the files hold different cells.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no trajectory protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    found = read_layer(embeddings, layer)
    known = read_reference(reference)
    demand_same_cells(found.cell_ids, known, str(embeddings))
    obs = read_obs(cells)
    demand_same_cells(obs.index, known, str(cells))
    subject = Subject(
        condition=condition,
        model=model,
        layer=layer,
        depth=depth(layer, int(found.provenance.get("n_layers") or 0)),
        family=str(found.provenance.get("family", "")),
        seed=seed,
        protocol=protocol,
    )
    truth = obs["true_pseudotime"].to_numpy(dtype=float) if "true_pseudotime" in obs else None
    return score_paper(found.matrix, known, subject, settings, truth, threads)
