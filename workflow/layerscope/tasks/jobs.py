"""The two jobs of every task: make the reference of a condition, and score one layer against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from layerscope.cells.obs import read_obs
from layerscope.files import whole_folder
from layerscope.tables import write_resamples, write_scores
from layerscope.tasks.base import ReferenceJob, ScoringJob
from layerscope.tasks.catalogue import task_named


def make_reference(
    *,
    task: str,
    protocol: str,
    condition: str,
    cells: Path,
    settings: Mapping[str, Any],
    output: Path,
    baseline: Sequence[Path] = (),
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Make what the layers of a condition are compared with.

    Parameters
    ----------
    task
        Name of the task, such as trajectory.
    protocol
        Name of one of its protocols.
    condition
        Name for rows.
    cells
        The condition's canonical cells (.h5ad).
    settings
        Of the protocol: JSON text, or a YAML or JSON file.
    output
        The folder to make.
    baseline
        Embeddings of the task's baseline for these cells, if it has one.
    seed
        Of all that is drawn.
    threads
        To compute with.

    Raises
    ------
    ConfigError
        If there is no such task or protocol, or a setting is wrong.
    DataError
        If the cells do not allow it.
    """
    chosen = task_named(task)
    checked = chosen.settings_of(protocol, settings)
    with whole_folder(output) as folder, threadpool_limits(threads):
        chosen.reference(
            ReferenceJob(
                protocol=protocol,
                settings=checked,
                condition=condition,
                cells=cells,
                baseline=next(iter(baseline), None),
                seed=seed,
                threads=threads,
                folder=folder,
            )
        )


def score_layer(
    *,
    task: str,
    protocol: str,
    condition: str,
    model: str,
    layer: str,
    embeddings: Path,
    cells: Path,
    settings: Mapping[str, Any],
    output: Path,
    resamples: Path,
    reference: Sequence[Path] = (),
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Score one layer of one model.

    Parameters
    ----------
    task
        Name of the task, such as trajectory.
    protocol
        Name of one of its protocols.
    condition
        Name for rows.
    model
        Name for rows.
    layer
        00, 01 ... or official.
    embeddings
        All layers of the model (.h5ad), or sums over groups of cells (.h5).
    cells
        Table of the condition's cells (obs.parquet, or cells.h5ad).
    settings
        Of the protocol: JSON text, or a YAML or JSON file.
    output
        Score rows (.tsv) to write.
    resamples
        Values by which they are resampled (.npz) to write.
    reference
        Folder of the condition's reference, if the task has one.
    seed
        Of all that is drawn.
    threads
        To compute with.

    Raises
    ------
    ConfigError
        If there is no such task or protocol, or a setting is wrong.
    DataError
        If the file lacks the layer, or the files do not belong together.
    """
    chosen = task_named(task)
    job = ScoringJob(
        protocol=protocol,
        settings=chosen.settings_of(protocol, settings),
        condition=condition,
        model=model,
        layer=layer,
        embeddings=embeddings,
        obs=read_obs(cells),
        reference=next(iter(reference), None),
        seed=seed,
        threads=threads,
    )
    with threadpool_limits(threads):
        scored = chosen.score(job)
    write_resamples(resamples, scored.resamples)
    write_scores(output, scored.rows)
