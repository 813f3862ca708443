"""What a study may set for its cell types."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from layerscope.settings import UNIQUE, Metric, Resampled, Settings

GroupColumn = Literal["donor", "batch", "replicate", "clone"]


class CellTypeSettings(Resampled):
    """Settings of protocol ``strict``, the only one of this task: the paper scores no cell types."""

    grouped_by: Annotated[tuple[GroupColumn, ...], *UNIQUE] = ("donor", "batch")
    """Columns that keep cells together in training or test, in order of preference: the first that has two
    labels or more is taken. Without any, folds are stratified by cell type, and the rows say so."""
    folds: int = Field(default=5, ge=2)
    """Parts of the cross-validation, at most one per group."""
    least_groups: int = Field(default=10, ge=2)
    """Groups that there must be for the interval to draw groups; of fewer it draws cells."""
    cells_per_type: int = Field(default=10, ge=2)
    """Cell types of fewer cells are left out."""
    most_cells: int = Field(default=5000, ge=20)
    """Cells scored; of more, so many are drawn by the seed."""
    penalty: float = Field(default=0.01, gt=0)
    """Ridge penalty of the linear probe per training cell (scikit-learn's `C` is 1 / (penalty x cells))."""
    neighbours: int = Field(default=15, ge=1)
    """Neighbours that vote."""
    metric: Metric = "cosine"
    """Distance of the vote and of the silhouette."""
    shuffles: int = Field(default=20, ge=0)
    """Shuffles of the labels, each with everything re-run."""
    refits: int = Field(default=20, ge=0)
    """Bootstrap resamples of the training cells, each with everything re-run, for the interval."""


class CellTypeProtocols(Settings):
    """Settings of the task ``cell_type``, by protocol."""

    strict: CellTypeSettings = CellTypeSettings()
    """A linear probe, tested on donors or batches that it has not seen."""
