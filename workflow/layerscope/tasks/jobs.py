"""The two jobs of every task: make the reference of a condition, and score one layer against it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from layerscope.cells.obs import read_obs
from layerscope.errors import ConfigError, DataError, NotAvailableError
from layerscope.extraction.embeddings_file import NOT_AVAILABLE, Layer, read_layer, read_provenance
from layerscope.files import refuse_overwriting, whole_folder
from layerscope.tables import Subject, depth, write_resamples, write_scores
from layerscope.tasks.catalogue import primary_metrics, task_named
from layerscope.tasks.scored import Scored, unscored
from layerscope.tasks.unavailable import read_reason, write_reason

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReferenceJob:
    """What a reference is made of; see :func:`make_reference`."""

    protocol: str
    settings: Any
    """Of the protocol."""
    condition: str
    cells: Path
    baseline: Path | None
    seed: int
    threads: int
    folder: Path
    """Where the reference goes; it is there and empty."""


@dataclass(frozen=True, kw_only=True)
class ScoringJob:
    """One layer to score; see :func:`score_layer`."""

    protocol: str
    settings: Any
    """Of the protocol."""
    condition: str
    model: str
    layer: str
    embeddings: Path | Layer
    """The layer itself, or the file of the model's layers: of cells, or (where the task can use them) of sums
    over groups of cells."""
    obs: pd.DataFrame
    """Table of the condition's cells, in the order of the embeddings."""
    reference: Path | None
    seed: int
    threads: int = 1

    @property
    def reference_folder(self) -> Path:
        """Folder of the reference; a ConfigError where there is none."""
        if self.reference is None:
            raise ConfigError(
                f"protocol {self.protocol} needs --reference, the folder that make_reference.py wrote"
            )
        return self.reference

    def demand_reference_of(self, cell_ids: Sequence[str]) -> None:
        """Raise a DataError where the reference is not one of the job's cells, in their order."""
        if list(cell_ids) != self.obs.index.tolist():
            raise DataError(
                f"{self.reference}: its {len(cell_ids)} cells are not the {len(self.obs)} cells of condition "
                f"{self.condition} in their order; delete this reference and run again"
            )

    @cached_property
    def vectors(self) -> Layer:
        """The layer's vectors of the cells; a DataError if the file lacks the layer or holds other cells."""
        given = self.embeddings
        layer = given if isinstance(given, Layer) else read_layer(given, self.layer)
        if layer.cell_ids != self.obs.index.tolist():
            where = f"layer {self.layer}" if isinstance(given, Layer) else given
            raise DataError(
                f"{where}: its {len(layer.cell_ids)} cells are not the {len(self.obs)} cells of "
                f"condition {self.condition} in their order; extract the layers again from these cells"
            )
        return layer

    def subject(self, task: str, provenance: Mapping[str, Any]) -> Subject:
        """What all rows have in common; ``provenance`` of the layers tells how many there are."""
        return Subject(
            condition=self.condition,
            model=self.model,
            layer=self.layer,
            depth=depth(self.layer, int(provenance.get("n_layers") or 0)),
            task=task,
            protocol=self.protocol,
            seed=self.seed,
            family=str(provenance.get("family", "")),
        )


def _not_available(task: str, job: ScoringJob) -> Scored | None:
    """Rows of the primary metrics that say why a layer has no scores; None where it can be scored."""
    given = job.embeddings
    provenance = given.provenance if isinstance(given, Layer) else read_provenance(given)
    reason = read_reason(job.reference) or provenance.get(NOT_AVAILABLE)
    if not reason:
        return None
    subject = job.subject(task, provenance)
    return unscored(subject, primary_metrics(task, job.protocol), "not_available", reason)


def room_of(task: str) -> Any:
    """The module of a task that has its functions ``reference`` and ``score``."""
    return import_module(f"layerscope.tasks.{task}.job")


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
        If the cells cannot be used. Where they merely lack what the protocol needs (replicates, say), the
        folder says so, and so do the rows of :func:`score_layer`.
    """
    checked = task_named(task).settings_of(protocol, settings)
    with whole_folder(output) as folder, threadpool_limits(threads):
        job = ReferenceJob(
            protocol=protocol,
            settings=checked,
            condition=condition,
            cells=cells,
            baseline=next(iter(baseline), None),
            seed=seed,
            threads=threads,
            folder=folder,
        )
        try:
            room_of(task).reference(job)
        except NotAvailableError as error:
            reason = re.sub(r"^\S+\.h5ad: ", "", str(error))  # rows need not name the file
            log.warning("%s: protocol %s has no scores: %s", condition, protocol, reason)
            write_reason(folder, reason, protocol in task_named(task).ceiling_protocols)


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
    for written in (output, resamples):
        refuse_overwriting(written, embeddings, cells)
    job = ScoringJob(
        protocol=protocol,
        settings=task_named(task).settings_of(protocol, settings),
        condition=condition,
        model=model,
        layer=layer,
        embeddings=embeddings,
        obs=read_obs(cells),
        reference=next(iter(reference), None),
        seed=seed,
        threads=threads,
    )
    scored = score(task, job)
    write_resamples(resamples, scored.resamples)
    write_scores(output, scored.rows)


def score(task: str, job: ScoringJob) -> Scored:
    """Score one layer by a task, with the job's number of threads."""
    with threadpool_limits(job.threads):
        scored: Scored = _not_available(task, job) or room_of(task).score(job)
    return scored
