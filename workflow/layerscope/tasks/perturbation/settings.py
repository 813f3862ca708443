"""What can be set in the perturbation task, protocol by protocol, with the defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from layerscope.settings import ONE_OR_SEVERAL, UNIQUE, Resampled, Settings

SampleColumn = Literal["guide", "replicate", "batch"]
SAMPLE_COLUMNS: tuple[str, ...] = get_args(SampleColumn)


class PerturbationSettings(Resampled):
    """What every protocol shares."""

    max_perturbations: int | None = Field(default=None, ge=4)
    """Only so many perturbations, those of most cells (the paper: 100); all of them if null."""


class PaperSettings(PerturbationSettings):
    """Settings of protocol ``paper``."""

    pseudobulk_by: Annotated[tuple[SampleColumn, ...], Field(min_length=1), *UNIQUE, ONE_OR_SEVERAL] = (
        "guide",
    )
    """Columns that make a sample within a perturbation. Guides alone are the default: dividing them further
    by lane leaves so few counts in a sample that the fold changes of most genes are noise."""
    min_cells_per_pseudobulk: int = Field(default=5, ge=1)
    """Samples of fewer cells are dropped."""
    min_cells_per_perturbation: int = Field(default=20, ge=2)
    """Perturbations of fewer cells are dropped."""
    min_counts_per_gene: int = Field(default=10, ge=0)
    """Genes with fewer counts over all samples are not tested."""
    size_factors: Literal["auto", "ratio", "poscounts", "library"] = "auto"
    """`ratio` (DESeq2's median of ratios), `poscounts` (its variant for zeros), `library` (total counts), or
    `auto`: median of ratios where at least 50 genes are counted in every sample, else total counts."""


class ReleasedSettings(PerturbationSettings):
    """Settings of protocol ``released``."""

    min_cells_per_perturbation: int = Field(default=20, ge=2)
    """Perturbations of fewer cells are dropped."""
    top_genes: int = Field(default=500, ge=1)
    """Genes of largest absolute t that a profile keeps; all others are set to zero."""


class StrictSettings(PerturbationSettings):
    """Settings of protocol ``strict``."""

    MIN_PERTURBATIONS: ClassVar[int] = 4
    MOST_PERTURBATIONS: ClassVar[int] = 1000

    cells_per_perturbation: int = Field(default=48, ge=8)
    """Cells that stand for every perturbation alike (rounded down to a multiple of `buckets`); perturbations
    of fewer are dropped. The choice trades perturbations for cells: the rows `spearman_n*` show what more
    cells would bring."""
    buckets: int = Field(default=8, ge=2, le=16, multiple_of=2)
    """Equal parts of each perturbation's cells; halves are halves of these."""
    cell_splits: int = Field(default=10, ge=2)
    """Ways to cut the buckets into halves of the cells that are averaged."""
    shuffles: int = Field(default=20, ge=1)
    """Shuffles of the cells' labels within lanes, each with everything re-run."""
    shuffle_splits: int = Field(default=2, ge=1)
    """Cell splits of each shuffle."""
    min_counts_per_gene: int = Field(default=10, ge=0)
    """Genes with fewer counts over the cells used are left out."""
    permutations: int = Field(default=999, ge=99)
    """Permutations of the Mantel test."""

    @model_validator(mode="after")
    def _demand_a_cell_in_every_bucket(self) -> Self:
        if self.cells_per_perturbation < self.buckets:
            raise ValueError(
                f"cells_per_perturbation: found {self.cells_per_perturbation}; one for each "
                f"of {self.buckets} buckets is needed"
            )
        return self


class PerturbationProtocols(Settings):
    """Settings of the task ``perturbation``, by protocol."""

    paper: PaperSettings = PaperSettings()
    """The paper's text: log fold changes of pseudobulks."""
    released: ReleasedSettings = ReleasedSettings()
    """The authors' code: t statistics of the genes that change most."""
    strict: StrictSettings = StrictSettings()
    """Disjoint cells for layer and reference, shuffled labels, noise ceilings."""
