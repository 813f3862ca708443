"""What a task is: its settings, what it compares a layer with, how it scores, and the words for all that.

A task is a room beside this file with two modules. ``task.py`` holds its :class:`Task`, which everything that
asks about tasks reads. ``job.py`` holds two functions that are imported when a job runs them::

    reference(job: ReferenceJob) -> None     writes files into ``job.folder``
    score(job: ScoringJob) -> Scored         rows of one layer, and what differences between layers need
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from layerscope.errors import ConfigError
from layerscope.settings import Settings


@dataclass(frozen=True)
class Metric:
    """A primary metric: the label of its axis, a sentence on what it means, and whether 0 is chance."""

    label: str
    meaning: str
    zero_is_chance: bool = True
    range: float = 1.0
    """From its lowest value to its highest, of which margins are shares: 1 for an F1, 2 for a correlation."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task, as everything outside its room sees it."""

    name: str
    """Of the task, of its room, and of its folder of scores."""
    title: str
    """Headline of its figure."""
    keeps: str
    """What a good layer keeps: completes "Which layer keeps ...?"."""
    settings: type[Settings]
    """Settings of each protocol that there is, a field for each."""
    metrics: Mapping[str, Metric]
    """Metrics that can be primary, by name, the usual one first."""
    columns: tuple[str, ...] = ()
    """Columns of obs without which a condition's cells cannot be prepared."""
    column_settings: tuple[str, ...] = ()
    """Settings that name a column of obs, which the cells must have then."""
    keywords: Mapping[str, str] = field(default_factory=dict)
    """What ``layerscope.score`` calls columns and settings in this task, beside their own names."""
    strata: tuple[str, ...] = ()
    """Columns of obs of whose labels, and combinations of labels, a cap of the cells keeps the shares."""
    coloured_by: tuple[str, ...] = ()
    """Columns of obs that pictures of its cells are coloured by, the first that they have; those that its
    settings name come before."""
    uses_time: bool = False
    """Whether cells whose sampling time is not known are left out, and times must have an order."""
    has_reference: bool = True
    """Whether ``reference`` of its job makes files that scores need; else the cells' own columns are all."""
    baseline: str = ""
    """The baseline whose embeddings the reference is computed from, where it has to be computed."""
    drawn_references: tuple[str, ...] = ()
    """Protocols whose reference is drawn by the seed of the resampling; no other changes with it."""
    ceiling_protocols: tuple[str, ...] = ()
    """Protocols whose reference comes with a table of noise ceilings, ``ceilings.tsv``."""
    primary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Primary metrics of single protocols, the first that a condition has; of others it is the usual one."""
    guarded: Mapping[str, str] = field(default_factory=dict)
    """By primary metric, another that must not be lost for it: a layer is better only where it is shown to be
    higher in either and lower in neither; higher in one and lower in the other is a trade-off."""
    units: str = "cells"
    """What intervals are drawn over, in the plural: more of them narrow these."""
    intervals: Mapping[str, str] = field(default_factory=dict)
    """By protocol, where the 95% intervals of its primary metrics come from."""
    truth: Mapping[str, str] = field(default_factory=dict)
    """Metrics that compare with what simulated cells were made from, and their labels."""

    @property
    def of_screens(self) -> bool:
        """Whether its cells are of a screen: they have a control, and perturbations are selected."""
        return "perturbation" in self.columns

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of its protocols."""
        return tuple(self.settings.model_fields)

    def settings_of(self, protocol: str, given: Mapping[str, Any]) -> Any:
        """Settings of a protocol with its defaults; a ConfigError if there is none, or a setting is wrong."""
        if protocol not in self.protocols:
            raise ConfigError(f"no {self.name} protocol {protocol!r}; there are {', '.join(self.protocols)}")
        kind: Any = self.settings.model_fields[protocol].annotation
        return kind.read(given, f"{self.name}: {protocol}")
