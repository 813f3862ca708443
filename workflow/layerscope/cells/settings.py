"""What a study says about a condition's cells: the dataset's entry and the condition's, as one mapping."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from layerscope.cells.labels import among, written
from layerscope.errors import ConfigError

KINDS = ("h5ad", "gse276896", "cd4_perturbseq", "10x")
TASKS: Mapping[str, tuple[str, ...]] = {
    "trajectory": (),
    "perturbation": ("perturbation",),
    "cell_type": ("cell_type",),
}
"""The tasks, and the columns without which a condition of each cannot be prepared."""
VALUES = ("counts", "log_normalised", "normalised")


class Section:
    """A part of the settings whose keys are its fields; an unknown key is refused by name."""

    @classmethod
    def read(cls, found: Mapping[str, Any] | None, where: str) -> Any:
        """Build the section from a mapping; ``where`` names it in messages."""
        known = [entry.name for entry in fields(cls)]  # type: ignore[arg-type]
        if found is not None and not isinstance(found, Mapping):
            raise ConfigError(f"{where}: expected keys and values, found {type(found).__name__}")
        for key in found or {}:
            if key not in known:
                raise ConfigError(f"{where}: unknown key {key!r}; {among(str(key), known)}")
        return cls(**(found or {}))


@dataclass(frozen=True)
class Quality(Section):
    """Thresholds of quality control; ``None`` leaves a filter out.

    Attributes
    ----------
    min_genes_per_cell, max_genes_per_cell
        Genes detected in a cell, inclusive.
    min_counts_per_cell, max_counts_per_cell
        Counts of a cell, inclusive.
    max_mitochondrial_percent
        Share of a cell's counts from genes whose symbol starts with ``MT-``, in percent, inclusive.
    min_cells_per_gene
        Cells (of those that passed) in which a gene is detected, inclusive.
    """

    min_genes_per_cell: int | None = None
    max_genes_per_cell: int | None = None
    min_counts_per_cell: int | None = None
    max_counts_per_cell: int | None = None
    max_mitochondrial_percent: float | None = None
    min_cells_per_gene: int | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            _demand_number(f"quality.{entry.name}", getattr(self, entry.name))


@dataclass(frozen=True)
class Selection(Section):
    """Which of the cells that passed enter the study (perturbation conditions).

    Attributes
    ----------
    most_cells
        Keep this many perturbations, those with most cells (ties by name); ``None`` keeps all.
    min_cells
        Keep only perturbations with at least this many cells.
    max_cells_per_perturbation, max_control_cells
        At most this many cells of a perturbation, and of the controls; chosen by ``seed``, each guide and
        batch in proportion.
    seed
        Seed of that choice.
    """

    most_cells: int | None = None
    min_cells: int | None = None
    max_cells_per_perturbation: int | None = None
    max_control_cells: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for entry in fields(self):
            _demand_number(f"selection.{entry.name}", getattr(self, entry.name), whole=True)


@dataclass(frozen=True)
class Recovery(Section):
    """How counts are recovered from normalised values: ``value * total / per``, after ``expm1`` if logged.

    Attributes
    ----------
    total
        Column of ``obs`` that holds each cell's total before normalisation.
    per
        What each cell was normalised to.
    logged
        Whether ``log1p`` (natural) was taken.
    """

    total: str = "total_counts"
    per: float = 1e4
    logged: bool = True


@dataclass(frozen=True)
class CellSettings(Section):
    """Everything that ``prepare_cells`` needs to know; see ``config/README.md`` for each key."""

    dataset: str = "cells"
    kind: str = "h5ad"
    task: str | None = None
    values: str = "counts"
    matrix: str | None = None
    recover_counts: Recovery | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    missing: Sequence[str] = ()
    time_order: Sequence[str] = ()
    genes: Mapping[str, str | None] = field(default_factory=dict)
    control: Sequence[str] = ()
    root: Mapping[str, Sequence[str]] = field(default_factory=dict)
    subset: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exclude: Mapping[str, Sequence[str]] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    selection: Selection = field(default_factory=Selection)
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, found: Mapping[str, Any] | None, where: str = "cells") -> CellSettings:
        """Read the settings; keys that only describe the dataset are kept in ``about``.

        Raises
        ------
        ConfigError
            If a key is unknown or a value is not one of those allowed.
        """
        found = dict(found or {})
        about = {key: found.pop(key) for key in ("title", "citation", "licence") if key in found}
        for key in ("source", "about"):
            found.pop(key, None)
        found["quality"] = Quality.read(found.get("quality"), f"{where}: quality")
        found["selection"] = Selection.read(found.get("selection"), f"{where}: selection")
        if found.get("recover_counts") is not None:
            found["recover_counts"] = Recovery.read(found["recover_counts"], f"{where}: recover_counts")
        for key in ("columns", "genes", "root", "subset", "exclude"):
            found[key] = _mapping(found.get(key), f"{where}: {key}")
        for key in ("root", "subset", "exclude"):
            found[key] = {name: labels(value) for name, value in found[key].items()}
        for key in ("missing", "time_order", "control"):
            found[key] = labels(found.get(key))
        read: CellSettings = super().read({**found, "about": about}, where)
        _demand_choice(f"{where}: kind", read.kind, KINDS)
        _demand_choice(f"{where}: values", read.values, VALUES)
        if read.task is not None:
            _demand_choice(f"{where}: task", read.task, tuple(TASKS))
        return read


def labels(value: Any) -> tuple[str, ...]:
    """Read one label or several as text, in the form that a column's labels take."""
    if value is None:
        return ()
    several = value if isinstance(value, list | tuple) else [value]
    return tuple(written(label) for label in several)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected keys and values, found {type(value).__name__}")
    return dict(value or {})


def _demand_choice(where: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{where}: {value!r} is not allowed; {among(str(value), allowed)}")


def _demand_number(where: str, value: Any, whole: bool = False) -> None:
    allowed = int if whole else int | float
    is_number = isinstance(value, allowed) and not isinstance(value, bool) and 0 <= value < math.inf
    if value is not None and not is_number:
        raise ConfigError(f"{where}: expected a {'whole ' if whole else ''}number from 0, found {value!r}")
