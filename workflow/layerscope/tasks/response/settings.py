"""What can be set in the task response, with the defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from layerscope.settings import UNIQUE, Resampled, Settings


class ResponseSettings(Resampled):
    """Settings of protocol ``strict``, the only one of this task: the paper decodes no effects."""

    MIN_TARGETS: ClassVar[int] = 20
    MIN_CELLS: ClassVar[int] = 40

    cells_per_perturbation: int = Field(default=MIN_CELLS, ge=MIN_CELLS)
    """Cells that stand for every perturbation alike (rounded down to a multiple of `buckets`); perturbations
    of fewer are left out."""
    max_perturbations: int | None = Field(default=200, ge=MIN_TARGETS)
    """Only so many perturbations, those of most cells; all of them if null. Time grows with the cube."""
    most_genes: int = Field(default=2000, ge=2)
    """Genes whose effects are decoded: those of most variable log expression in control cells."""
    gene_scale: Literal["sampling_sd", "none"] = "sampling_sd"
    """Genes count by their effects over the standard deviation of cells of the same perturbation in training
    (`sampling_sd`), or by their effects as they are (`none`), which few genes of high expression dominate."""
    folds: int = Field(default=5, ge=2)
    """Parts of the targets, each held out once."""
    buckets: int = Field(default=8, ge=2, le=16, multiple_of=2)
    """Equal parts of each perturbation's cells; halves are halves of these."""
    cell_splits: int = Field(default=20, ge=1)
    """Ways to cut the buckets into halves of the cells that are averaged."""
    shuffles: int = Field(default=20, ge=0)
    """Shuffles of the cells' labels within lanes, each with everything re-run."""
    shuffle_splits: int = Field(default=2, ge=1)
    """Cell splits of each shuffle."""
    penalties: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1), *UNIQUE] = (
        0.01,
        0.1,
        1.0,
        10.0,
        100.0,
        1000.0,
    )
    """Ridge penalties to choose from inside the training targets, in units of the mean squared length of the
    training effects."""


class ResponseProtocols(Settings):
    """Settings of the task ``response``, by protocol."""

    strict: ResponseSettings = ResponseSettings()
    """Effects decoded in other cells, of targets that were held out."""
