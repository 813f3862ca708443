"""The entries of a study's catalogues of cells: datasets and conditions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from layerscope.cells.settings import (
    STUDY_COLUMNS,
    Kind,
    LabelsByColumn,
    Quality,
    Reading,
    Selection,
    Values,
)
from layerscope.settings import Name, Settings, exactly_one, keys_among
from layerscope.sources.settings import OneSource
from layerscope.tasks.catalogue import TaskName


class Dataset(Reading):
    """A dataset: where its files are and how they are read."""

    kind: Kind
    """The reader: `h5ad` for any file, by column names; `10x`; or that of one deposit."""
    source: OneSource
    """Where the file is."""
    values: Values
    """What the matrix holds: `counts`, `normalised` (library-size normalised), `log_normalised` (and log1p).
    Models that need counts are not run on the last two; the tables say so."""
    columns: Annotated[dict[str, str | None], keys_among(*STUDY_COLUMNS)] = Field(default_factory=dict)
    """Standard name: `obs` column of the file. Trajectory: `time`, `batch`, `cell_type`, `clone`,
    `reference_pseudotime`; perturbation: `perturbation`, `guide`, `replicate`, `batch`, `cell_type`; labels:
    `cell_type`, `donor`, `study`, `sample` (a library or well), `batch`, `clone`. A column that already has
    the standard name needs no entry; null leaves it out."""
    title: str = ""
    """For the report."""
    note: str = ""
    """What these cells cannot show: the report says it beside the answer."""
    gene_names: Name | None = None
    """A table under `gene_names`, where the file has only symbols or only Ensembl ids and a model needs the
    other. Where it is not set, and a file that is here (`source: {path: ...}` or `package`) needs one,
    `hgnc` is taken; null: none."""
    citation: str = ""
    """For the report."""
    licence: str = ""
    """For the report."""

    @property
    def says_names(self) -> bool:
        """Whether it says where the names of genes come from, so that the file need not be looked at."""
        both = {"symbol", "ensembl_id"} <= {kind for kind, column in self.genes.items() if column}
        return "gene_names" in self.model_fields_set or both


class Condition(Settings):
    """One set of cells with one task."""

    title: str | None = None
    """For the report."""
    dataset: Name | None = None
    """Where the cells come from."""
    cells_of: Name | None = None
    """In place of `dataset`: score the cells of that condition, and the layers that models gave them, on
    another task; nothing is extracted twice."""
    task: TaskName | None = None
    """Without one the cells can be pretrained on, not scored."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task for these cells, over those of the study: `{column: disease}`. Each protocol takes
    those that it has."""
    subset: LabelsByColumn = Field(default_factory=dict)
    """Column of the file: labels to keep."""
    exclude: LabelsByColumn = Field(default_factory=dict)
    """Column of the file: labels to leave out."""
    quality: Quality = Quality()
    """Overrides single filters."""
    max_cells: int | None = Field(default=None, ge=1)
    """At most this many of the cells that passed, chosen by seed: every combination of what the task asks
    about (cell type and donor; perturbation and guide; time and root) in proportion, and at least once."""
    selection: Selection | None = None
    """Perturbations, and how many cells of each."""


OneCondition = Annotated[Condition, BeforeValidator(exactly_one("dataset", "cells_of"))]
