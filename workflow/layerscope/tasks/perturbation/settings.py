"""What can be set in the perturbation task, with the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from layerscope.errors import ConfigError

SAMPLE_COLUMNS = ("guide", "replicate", "batch")
SIZE_FACTORS = ("auto", "ratio", "poscounts", "library")


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """Settings of the protocol ``paper``; every step reads the ones that it needs.

    Attributes
    ----------
    pseudobulk_by
        Columns of the cells that form samples within a perturbation. Guides alone are the default: dividing
        them further by lane leaves so few counts in a sample that the fold changes of most genes are noise.
    min_cells_per_pseudobulk
        Samples of fewer cells are dropped.
    min_cells_per_perturbation
        Perturbations of fewer cells are dropped.
    max_perturbations
        Keep only so many perturbations, those of most cells; all of them if None.
    min_counts_per_gene
        Genes with fewer counts over all samples are not tested.
    size_factors
        ``"ratio"`` (DESeq2's median of ratios), ``"poscounts"`` (its variant for zeros), ``"library"``
        (total counts) or ``"auto"``: median of ratios where enough genes are counted in every sample, else
        total counts.
    resamples
        Bootstrap resamples of the perturbations.
    splits
        Random halves of the perturbations, for a layer chosen on one and scored on the other.
    """

    pseudobulk_by: tuple[str, ...] = ("guide",)
    min_cells_per_pseudobulk: int = 5
    min_cells_per_perturbation: int = 20
    max_perturbations: int | None = None
    min_counts_per_gene: int = 10
    size_factors: str = "auto"
    resamples: int = 1000
    splits: int = 100

    def __post_init__(self) -> None:
        wrong = [name for name in self.pseudobulk_by if name not in SAMPLE_COLUMNS]
        if wrong or not self.pseudobulk_by:
            raise ConfigError(
                f"pseudobulk_by: expected some of {', '.join(SAMPLE_COLUMNS)}, found "
                f"{list(self.pseudobulk_by)}"
            )
        if self.size_factors not in SIZE_FACTORS:
            raise ConfigError(
                f"size_factors: expected one of {', '.join(SIZE_FACTORS)}, found {self.size_factors!r}"
            )
        for name in ("min_cells_per_pseudobulk", "min_cells_per_perturbation", "resamples", "splits"):
            demand_whole(name, getattr(self, name), at_least=1)
        demand_whole("min_counts_per_gene", self.min_counts_per_gene, at_least=0)
        if self.max_perturbations is not None:
            demand_whole("max_perturbations", self.max_perturbations, at_least=1)

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> PaperSettings:
        """Make settings from a mapping; what it does not name keeps its default.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is not allowed.
        """
        return cls(**known(settings, [field.name for field in fields(cls)]))


@dataclass(frozen=True, kw_only=True)
class ReleasedSettings:
    """Settings of the protocol ``released``.

    Attributes
    ----------
    min_cells_per_perturbation
        Perturbations of fewer cells are dropped.
    max_perturbations
        Keep only so many perturbations, those of most cells; all of them if None.
    top_genes
        Genes of each profile that are kept, those of largest ``|t|``; all others are set to zero.
    resamples
        Bootstrap resamples of the perturbations.
    splits
        Random halves of the perturbations, for a layer chosen on one and scored on the other.
    """

    min_cells_per_perturbation: int = 20
    max_perturbations: int | None = None
    top_genes: int = 500
    resamples: int = 1000
    splits: int = 100

    def __post_init__(self) -> None:
        demand_whole("min_cells_per_perturbation", self.min_cells_per_perturbation, at_least=2)
        for name in ("top_genes", "resamples", "splits"):
            demand_whole(name, getattr(self, name), at_least=1)
        if self.max_perturbations is not None:
            demand_whole("max_perturbations", self.max_perturbations, at_least=1)

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> ReleasedSettings:
        """Make settings from a mapping; what it does not name keeps its default.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is not allowed.
        """
        return cls(**known(settings, [field.name for field in fields(cls)]))


@dataclass(frozen=True, kw_only=True)
class StrictSettings:
    """Settings of the protocol ``strict``; every step reads the ones that it needs.

    Attributes
    ----------
    cells_per_perturbation
        Cells that stand for every perturbation alike (rounded down to a multiple of ``buckets``);
        perturbations of fewer are dropped. The choice trades perturbations for cells: the rows
        ``spearman_n*`` show what more cells would bring.
    max_perturbations
        Keep only so many perturbations, those of most cells; all of them if None.
    buckets
        Equal parts of each perturbation's cells, an even number; halves are halves of these.
    cell_splits
        Ways to cut the buckets into halves of the cells that are averaged.
    shuffles, shuffle_splits
        Shuffles of the cells' labels within lanes, each with everything re-run, and cell splits of each.
    min_counts_per_gene
        Genes with fewer counts over the cells used are left out.
    permutations
        Of the Mantel test.
    crossnobis
        Whether to score crossnobis distances too (needs rsatoolbox).
    resamples
        Bootstrap resamples of the perturbations.
    splits
        Random halves of the perturbations, for a layer chosen on one and scored on the other.
    """

    MIN_PERTURBATIONS: ClassVar[int] = 4
    MOST_PERTURBATIONS: ClassVar[int] = 1000

    cells_per_perturbation: int = 48
    max_perturbations: int | None = None
    buckets: int = 8
    cell_splits: int = 10
    shuffles: int = 20
    shuffle_splits: int = 2
    min_counts_per_gene: int = 10
    permutations: int = 999
    crossnobis: bool = False
    resamples: int = 1000
    splits: int = 100

    def __post_init__(self) -> None:
        for name in ("cell_splits", "shuffle_splits", "resamples", "splits", "permutations"):
            demand_whole(name, getattr(self, name), at_least=1)
        for name in ("shuffles", "min_counts_per_gene"):
            demand_whole(name, getattr(self, name), at_least=0)
        demand_whole("buckets", self.buckets, at_least=2)
        if self.buckets % 2 or self.buckets > 16:
            raise ConfigError(f"buckets: expected an even number up to 16, found {self.buckets}")
        demand_whole("cells_per_perturbation", self.cells_per_perturbation, at_least=self.buckets)
        if self.max_perturbations is not None:
            demand_whole("max_perturbations", self.max_perturbations, at_least=self.MIN_PERTURBATIONS)

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> StrictSettings:
        """Make settings from a mapping; what it does not name keeps its default.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is not allowed.
        """
        return cls(**known(settings, [field.name for field in fields(cls)]))


PROTOCOLS: dict[str, type[PaperSettings] | type[ReleasedSettings] | type[StrictSettings]] = {
    "paper": PaperSettings,
    "released": ReleasedSettings,
    "strict": StrictSettings,
}


def known(settings: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The settings as keyword arguments, lists as tuples; an unknown name is refused."""
    unknown = [name for name in settings if name not in names]
    if unknown:
        raise ConfigError(f"unknown setting {unknown[0]!r}; expected some of {', '.join(names)}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}


def demand_whole(name: str, value: object, at_least: int) -> None:
    """Refuse a setting that is not a whole number, or is too small."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ConfigError(f"{name}: expected a whole number of at least {at_least}, found {value!r}")
