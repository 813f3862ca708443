"""What a task is: its settings, what it compares a layer with, how it scores, and the words for all that.

A task is a room beside this file with two modules. ``task.py`` holds its :class:`Task`, which everything that
asks about tasks reads. ``job.py`` holds two functions that are imported when a job runs them::

    reference(job: ReferenceJob) -> None     writes files into ``job.folder``
    score(job: ScoringJob) -> Scored         rows of one layer, and what differences between layers need
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerscope.errors import ConfigError, DataError
from layerscope.settings import Settings
from layerscope.tables import Score, Subject, depth

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from layerscope.extraction.embeddings_file import Layer


@dataclass(frozen=True)
class Metric:
    """A primary metric: the label of its axis, and a sentence that says what it means."""

    label: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task, as everything outside its room sees it.

    Attributes
    ----------
    name
        Of the task, of its room, and of its folder of scores.
    title
        Headline of its figure.
    keeps
        What a good layer keeps: completes "no layer is shown to keep ...".
    settings
        Settings of each protocol that there is, a field for each.
    metrics
        Metrics that can be primary, by name, the usual one first.
    has_reference
        Whether :func:`reference` makes files that scores need; else the cells' own columns are all.
    baseline
        The baseline whose embeddings the reference is computed from, where it has to be computed.
    ceiling_protocols
        Protocols whose reference comes with a table of noise ceilings, ``ceilings.tsv``.
    primary
        Primary metrics of single protocols, the first that a condition has; of others it is the usual one.
    intervals
        By protocol, where the 95% intervals of its primary metrics come from.
    truth
        Metrics that compare with what simulated cells were made from, and their labels.
    """

    name: str
    title: str
    keeps: str
    settings: type[Settings]
    metrics: Mapping[str, Metric]
    has_reference: bool = True
    baseline: str = ""
    ceiling_protocols: tuple[str, ...] = ()
    primary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    intervals: Mapping[str, str] = field(default_factory=dict)
    truth: Mapping[str, str] = field(default_factory=dict)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of its protocols."""
        return tuple(self.settings.model_fields)

    def settings_of(self, protocol: str, given: Mapping[str, Any]) -> Any:
        """Settings of a protocol, checked, with its defaults.

        Raises
        ------
        ConfigError
            If there is no such protocol, or a setting is wrong.
        """
        if protocol not in self.protocols:
            raise ConfigError(f"no {self.name} protocol {protocol!r}; there are {', '.join(self.protocols)}")
        kind: Any = self.settings.model_fields[protocol].annotation
        return kind.read(given, f"{self.name}: {protocol}")

    def reference(self, job: ReferenceJob) -> None:
        """Write into ``job.folder`` what layers are compared with."""
        import_module(f"layerscope.tasks.{self.name}.job").reference(job)

    def score(self, job: ScoringJob) -> Scored:
        """Score one layer."""
        scored: Scored = import_module(f"layerscope.tasks.{self.name}.job").score(job)
        return scored


@dataclass
class Scored:
    """Score rows of a layer and, by metric, the values by which they are resampled (see ``tables``)."""

    rows: list[Score] = field(default_factory=list)
    resamples: dict[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReferenceJob:
    """What a reference is made of.

    Attributes
    ----------
    protocol, settings
        Of the task.
    condition
        Name for rows.
    cells
        File of canonical cells.
    baseline
        Embeddings of the task's baseline for these cells; None if the task has none.
    seed
        Of all that is drawn.
    threads
        To compute with.
    folder
        Where the reference goes; it is there and empty.
    """

    protocol: str
    settings: Any
    condition: str
    cells: Path
    baseline: Path | None
    seed: int
    threads: int
    folder: Path


@dataclass(frozen=True, kw_only=True)
class ScoringJob:
    """One layer to score.

    Attributes
    ----------
    protocol, settings
        Of the task.
    condition, model, layer
        Names for rows; ``layer`` is ``"00"``, ``"01"`` ... or ``"official"``.
    embeddings
        File of the model's layers: of cells, or (where the task can use them) of sums over groups of cells.
    obs
        Table of the condition's cells, in the order of the embeddings.
    reference
        Folder of the reference; None if the task has none.
    seed
        Of all that is drawn.
    threads
        To compute with.
    """

    protocol: str
    settings: Any
    condition: str
    model: str
    layer: str
    embeddings: Path
    obs: pd.DataFrame
    reference: Path | None
    seed: int
    threads: int = 1

    @cached_property
    def vectors(self) -> Layer:
        """The layer's vectors of the cells.

        Raises
        ------
        DataError
            If the file lacks the layer, or holds other cells than ``obs``, or the same in another order.
        """
        from layerscope.extraction.embeddings_file import read_layer

        layer = read_layer(self.embeddings, self.layer)
        if layer.cell_ids != self.obs.index.tolist():
            raise DataError(
                f"{self.embeddings}: its {len(layer.cell_ids)} cells are not the {len(self.obs)} cells of "
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
        )
