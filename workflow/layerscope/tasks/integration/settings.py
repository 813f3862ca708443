"""What a study may set for the integration of its batches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from layerscope.settings import Resampled, Settings

Kind = Literal["told_by_column", "technical", "donor", "stimulus"]


class IntegrationSettings(Resampled):
    """Settings of protocol ``strict``, the only one of this task."""

    batch: str = Field(default="batch", min_length=1)
    """Column of the batches."""
    cell_type: str = Field(default="cell_type", min_length=1)
    """Column of the cell types."""
    batches_are: Kind = "told_by_column"
    """What the batches are. Of donors and stimuli mixing is no virtue: its row says so, and no layer is
    chosen by it. `told_by_column`: by the column's name, or because each batch is one label of `donor`,
    `time` or `perturbation`; else technical."""
    folds: int = Field(default=5, ge=2)
    """Parts of the cross-validation: whole batches, at most one part per batch."""
    least_batches: int = Field(default=10, ge=2)
    """Batches that there must be for the interval to be for any batches; of fewer it is for these."""
    cells_per_type: int = Field(default=10, ge=2)
    """Cells that a batch must have of a cell type for the two to count as seen together."""
    cells_per_batch: int = Field(default=30, ge=5)
    """Cells that a batch must have of a cell type to enter that type's mixing."""
    most_cells: int = Field(default=5000, ge=20)
    """Cells scored; of more, so many are drawn by the seed."""
    penalty: float = Field(default=0.1, gt=0)
    """Ridge of the linear probe, in units of the columns' variance."""
    votes: int = Field(default=15, ge=1)
    """Neighbours that vote for a type."""
    neighbours: int = Field(default=90, ge=6)
    """Neighbours of a cell whose batches are counted, itself included; at most half of its type's cells."""
    shuffles: int = Field(default=20, ge=2)
    """Shuffles of the types within batches, and of the batches within types, each with everything re-run."""
    parts: int = Field(default=20, ge=5)
    """Random parts of the cells (or batches) that are left out in turn: the source of the intervals."""


class IntegrationProtocols(Settings):
    """Settings of the task ``integration``, by protocol."""

    strict: IntegrationSettings = IntegrationSettings()
    """Mixing within types, and types told apart in batches that a probe has not seen."""
