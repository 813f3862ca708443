"""How cells are read, filtered and selected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from layerscope.settings import UNIQUE, Settings, keys_among
from layerscope.tasks.catalogue import TASKS, TaskName

TEXT_COLUMNS = (
    *("donor", "study", "sample", "batch", "cell_type", "clone"),
    *("perturbation", "guide", "replicate"),
)
FLAG_COLUMNS = ("is_root", "is_control")
STANDARD_COLUMNS = ("time", *TEXT_COLUMNS, *FLAG_COLUMNS, "reference_pseudotime")
STUDY_COLUMNS = tuple(name for name in STANDARD_COLUMNS if name not in FLAG_COLUMNS)
"""Standard columns that a study names."""
TRUTH_PREFIX = "true_"
MAX_DECIMALS = 6  # more are beyond single precision
WHOLE = re.compile(r"-?\d+\.0+", re.ASCII)


def written(value: object) -> str:
    """Write a label: trimmed, a whole number without ``.0``, be it a number or text (``2.0``)."""
    if isinstance(value, Real) and not isinstance(value, Integral) and float(value).is_integer():
        return str(int(float(value)))
    label = str(value).strip()
    return label.partition(".")[0] if WHOLE.fullmatch(label) else label


def labels(value: Any) -> tuple[str, ...]:
    """Read one label or several as text, in the form that a column's labels take."""
    several = value if isinstance(value, list | tuple) else [value]
    for label in several:
        if not isinstance(label, str | int | float | bool):
            raise ValueError(f"found {label!r}; expected labels: text or numbers")
    return tuple(written(label) for label in several)


Labels = Annotated[tuple[str, ...], BeforeValidator(labels), Field(min_length=1)]
LabelsByColumn = Annotated[dict[str, Labels], Field(min_length=1)]


class Quality(Settings):
    """Filters on cells and genes; null, or absent, means not applied. All bounds are inclusive."""

    min_genes_per_cell: int | None = Field(default=None, ge=0)
    """Cells with fewer genes detected are removed."""
    max_genes_per_cell: int | None = Field(default=None, ge=1)
    """Cells with more genes detected are removed."""
    min_counts_per_cell: int | None = Field(default=None, ge=0)
    """Cells with fewer counts are removed."""
    max_counts_per_cell: int | None = Field(default=None, ge=1)
    """Cells with more counts are removed."""
    max_mitochondrial_percent: float | None = Field(default=None, ge=0, le=100)
    """Cells with more of their counts in genes named `MT-` or `mt-` are removed."""
    min_cells_per_gene: int | None = Field(default=None, ge=0)
    """Genes detected in fewer of the cells that passed are removed."""

    def stated(self) -> dict[str, float]:
        """The filters that are applied."""
        return self.model_dump(exclude_none=True)


class Selection(Settings):
    """Which of the cells that passed enter the study (perturbation conditions)."""

    elsewhere: ClassVar[frozenset[str]] = frozenset({"seed"})

    most_cells: int | None = Field(default=None, ge=2)
    """Keep this many perturbations, those with most cells (ties by name); null keeps all."""
    min_cells: int | None = Field(default=None, ge=1)
    """Keep only perturbations with at least this many cells."""
    max_cells_per_perturbation: int | None = Field(default=None, ge=1)
    """At most this many cells of a perturbation, chosen by seed, each guide and batch in proportion."""
    max_control_cells: int | None = Field(default=None, ge=1)
    """At most this many control cells, chosen likewise."""
    seed: int = Field(default=0, ge=0)
    """Seed of that choice."""

    def text(self) -> str:
        """What is set, for tables."""
        return ", ".join(f"{key} {value}" for key, value in self.model_dump(exclude_none=True).items())


class Recovery(Settings):
    """How counts are recovered from normalised values: ``value * total / per``, after ``expm1`` if logged."""

    total: str = "total_counts"
    """Column of `obs` that holds each cell's total before normalisation."""
    per: float = Field(default=1e4, gt=0)
    """What each cell was normalised to."""
    logged: bool = True
    """Whether `log1p` (natural) was taken."""
    decimals: int | None = Field(default=None, ge=1, le=MAX_DECIMALS)
    """How many decimals the values were rounded to, where they were: a count may then be as far from a whole
    number as the rounding of its own value explains, and is refused where that leaves two counts possible."""


Policy = Literal["one_to_one", "sum"]


class Orthologs(Settings):
    """The human orthologs of another species' genes, for models that know human genes alone."""

    table: str = Field(min_length=1)
    """A table under `gene_names`, or the path of one: two columns of names (`human`, `mouse`), BioMart's with
    an orthology type, or HCOP's."""
    policy: Policy = "one_to_one"
    """`one_to_one` keeps genes that have one ortholog, which has no other; `sum` adds up the counts of genes
    with the same human gene."""
    shuffled: int | None = Field(default=None, ge=0)
    """A seed by which the pairs are dealt anew: a control in which genes are matched at random."""


Kind = Literal["h5ad", "10x", "gse276896", "cd4_perturbseq"]
Values = Literal["counts", "normalised", "log_normalised"]


class Reading(Settings):
    """How a dataset's files are read."""

    matrix: str | None = Field(default=None, pattern="^(X|raw|layers/.+)$")
    """Which matrix: `X` (where it is null), `raw` or `layers/NAME`."""
    recover_counts: Recovery | None = None
    """How counts are won back exactly from normalised values."""
    genes: Annotated[dict[str, str | None], keys_among("symbol", "ensembl_id")] = Field(default_factory=dict)
    """`symbol` and `ensembl_id`: the `var` column that holds them, or `index`."""
    orthologs: Orthologs | None = None
    """`{table, policy}`: cells of another species over the human orthologs of their genes. A model that knows
    the species' own genes needs none."""
    columns: Annotated[dict[str, str | None], keys_among(*STANDARD_COLUMNS)] = Field(default_factory=dict)
    """Standard name: `obs` column of the file."""
    labels: Annotated[tuple[str, ...], *UNIQUE] = ()
    """Further columns of `obs` to keep under their own names, such as `disease` or `stimulus`."""
    genome: str | None = None
    """Of a file with genes of several genomes, the one to keep: `GRCh38`, `mm10`."""
    missing: Labels = ()
    """Labels that mean "none", beside the empty text, `NA`, `N/A`, `nan`, `none`, `null` and `empty`."""
    not_missing: Labels = ()
    """Those of these words that are labels here: `[NA]`; a label of `control`, `subset`, `exclude`, `root` or
    `time_order` is one in its column anyway."""
    time_order: Labels = ()
    """The time labels from early to late; where it is not set, as the file orders them, else by the numbers
    and units in them (`-2 d`, `30min`, `day 10`, `E8.5`, `24hpf`)."""
    control: Labels = ()
    """Labels of `perturbation` that mean non-targeting."""
    root: LabelsByColumn = Field(default_factory=dict)
    """Standard column: labels, of the cells where the trajectory begins."""


class CellSettings(Reading):
    """Everything that ``prepare_cells`` needs to know: of a dataset, and of a condition."""

    dataset: str = "cells"
    """Name of the dataset."""
    kind: Kind = "h5ad"
    """The reader."""
    values: Values = "counts"
    """What the matrix holds."""
    task: TaskName | None = None
    """Demands the columns that the task needs."""
    needed: Annotated[tuple[str, ...], *UNIQUE] = ()
    """Further columns that it needs, as it is set."""
    subset: LabelsByColumn = Field(default_factory=dict)
    """Column of the file: labels to keep."""
    exclude: LabelsByColumn = Field(default_factory=dict)
    """Column of the file: labels to leave out."""
    quality: Quality = Quality()
    """Filters on cells and genes."""
    max_cells: int | None = Field(default=None, ge=1)
    """At most this many of the cells that passed, chosen by `selection`'s seed: what the task asks about in
    proportion."""
    selection: Selection = Selection()
    """Perturbations, and how many cells of each."""
    about: dict[str, str] = Field(default_factory=dict)
    """What only describes the dataset."""

    @property
    def uses_time(self) -> bool:
        """Whether cells need a sampling time: by their task, or where there is none if a column is named."""
        if self.task is None:
            return self.columns.get("time") not in (None, "time")
        return TASKS[self.task].uses_time

    @property
    def of_screens(self) -> bool:
        """Whether cells need a control, and perturbations are selected: by their task."""
        return self.task is not None and TASKS[self.task].of_screens

    @property
    def strata(self) -> tuple[str, ...]:
        """Columns whose combinations of labels a cap of the cells keeps in proportion."""
        return tuple(dict.fromkeys((*(TASKS[self.task].strata if self.task else ()), *self.needed)))

    @classmethod
    def read(cls, given: Mapping[str, Any], where: str = "cells") -> Self:
        """Read the settings, which may be a dataset's whole entry."""
        about = {key: given[key] for key in ("title", "citation", "licence", "note") if key in given}
        unused = {"source", "about", *about}
        return super().read({k: v for k, v in given.items() if k not in unused} | {"about": about}, where)
