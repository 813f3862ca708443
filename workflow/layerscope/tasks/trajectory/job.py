"""One scoring job: the files of one layer in, rows and bootstrap values out."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import threadpool_limits

from layerscope.cells.canonical import read_obs
from layerscope.extraction.embeddings_file import read_layer
from layerscope.tables import depth
from layerscope.tasks.trajectory.paper import score_paper
from layerscope.tasks.trajectory.references import (
    NoRootError,
    Reference,
    demand_same_cells,
    make_reference,
    read_reference,
)
from layerscope.tasks.trajectory.scores import Scored, Subject
from layerscope.tasks.trajectory.settings import ReleasedSettings, StrictSettings, TrajectorySettings


def reference_file(cells: Path, baseline_embeddings: Path, settings: TrajectorySettings) -> Reference:
    """Make the reference that a protocol compares with; the kind of ``settings`` says which protocol.

    Raises
    ------
    DataError
        If the two files hold different cells, or protocol ``paper`` finds no root.
    """
    if isinstance(settings, ReleasedSettings):
        from layerscope.tasks.trajectory.released import released_reference

        return released_reference(cells, settings)
    try:
        return make_reference(cells, baseline_embeddings, settings)
    except NoRootError:
        if isinstance(settings, StrictSettings):
            return Reference.missing(list(read_obs(cells).index), "the cells name no root")
        raise


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
    """Score one layer of an embeddings file by a protocol, whose settings are given, on so many threads.

    Raises
    ------
    DataError
        If a file lacks the layer, or the files hold different cells.
    """
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
    with threadpool_limits(threads):
        if isinstance(settings, StrictSettings):
            from layerscope.tasks.trajectory.strict import score_strict

            return score_strict(found.matrix, known, obs, subject, settings)
        if isinstance(settings, ReleasedSettings):
            from layerscope.tasks.trajectory.released import score_released

            return score_released(found.matrix, known, subject, settings, obs)
        return score_paper(found.matrix, known, subject, settings, obs)
