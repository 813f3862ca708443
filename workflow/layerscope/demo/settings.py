"""What can be set in simulating and pretraining, with its defaults and the values that make sense."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from layerscope.settings import Settings


class Simulation(Settings):
    """Settings that every draw shares."""

    program_seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of the regulatory program (genes, loadings, targets). Draws that share it share one biology."""
    genes: int = Field(default=1000, ge=300, le=50_000)
    """Genes in all."""
    mitochondrial_genes: int = Field(default=13, ge=1, le=40)
    """How many of the genes are mitochondrial."""
    median_counts: float = Field(default=380.0, ge=50, le=1e6)
    """Median of the log-normal library size."""
    counts_spread: float = Field(default=0.45, ge=0, le=2)
    """Standard deviation of the library size on the natural-log scale."""
    damaged_share: float = Field(default=0.04, ge=0, le=0.5)
    """Share of damaged cells (high mitochondrial fraction)."""
    empty_share: float = Field(default=0.015, ge=0, le=0.5)
    """Share of nearly empty droplets."""
    batches: int = Field(default=2, ge=1, le=50)
    """Number of batches."""
    batch_spread: float = Field(default=0.12, ge=0, le=1)
    """Standard deviation of the batches' effects on a gene's log-rate."""


class Differentiation(Simulation):
    """Settings of the draw ``differentiation``."""

    cells: int = Field(default=1200, ge=50, le=1_000_000)
    """Cells in all."""
    clonal_share: float = Field(default=0.6, ge=0, le=1)
    """Share of the cells with a barcode."""


class Perturbation(Simulation):
    """Settings of the draw ``perturbation``."""

    cells_per_state: int = Field(default=1800, ge=50, le=1_000_000)
    """Cells of each of the three activation states."""
    perturbations: int = Field(default=24, ge=2, le=120)
    """Knocked-down regulators, two guides each."""
    lanes: int = Field(default=4, ge=1, le=50)
    """Lanes in all, shared out over the batches."""
    control_share: float = Field(default=0.12, ge=0.01, le=0.9)
    """Share of non-targeting cells."""
    control_guides: int = Field(default=4, ge=1, le=50)
    """Guides of the non-targeting cells."""


class Atlas(Perturbation):
    """Settings of the draw ``atlas``."""

    cells: int = Field(default=4000, ge=50, le=1_000_000)
    """Cells in all."""
    activated_share: float = Field(default=0.6, ge=0, le=1)
    """Share of the cells that are activated cells."""
    batches: int = Field(default=4, ge=1, le=50)
    """Number of batches."""


class Cohort(Simulation):
    """Settings of the draw ``cohort``."""

    donors: int = Field(default=12, ge=4, le=1000)
    """Donors, of four ages, half of them ill."""
    cells_per_sample: int = Field(default=40, ge=5, le=100_000)
    """Cells of each of a donor's two samples."""


class Simulations(Settings):
    """Settings of the embedded study's cells, by draw."""

    differentiation: Differentiation = Differentiation()
    """Cells that differentiate, some of them with barcodes."""
    perturbation: Perturbation = Perturbation()
    """A screen in three activation states."""
    atlas: Atlas = Atlas()
    """Cells to pretrain on."""
    cohort: Cohort = Cohort()
    """Donors of several ages, ill and well, stimulated and not."""


DRAWS: dict[str, Any] = {name: field.annotation for name, field in Simulations.model_fields.items()}


class Pretraining(Settings):
    """Settings of pretraining small models."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"layers"})

    layers: int = Field(default=6, ge=1, le=48)
    """Layers of the encoder."""
    hidden: int = Field(default=64, ge=8, le=4096)
    """Width of the encoder."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads, which must divide the width."""
    steps: int = Field(default=400, ge=1, le=1_000_000)
    """Optimiser steps."""
    batch: int = Field(default=32, ge=2, le=4096)
    """Cells in each step."""
    tokens: int = Field(default=64, ge=1, le=100_000)
    """Genes of a cell in a sentence at most."""
    masked: float = Field(default=0.3, ge=0.01, le=0.9)
    """Share of the expressed genes that the model must predict."""
    rate: float = Field(default=0.02, ge=1e-6, le=1)
    """Learning rate of the matrices."""

    @model_validator(mode="after")
    def _demand_that_heads_divide_the_width(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.hidden}")
        return self
