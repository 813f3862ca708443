"""Whether a model can take a file's cells, what it lacks if not, and the remedy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from layerscope.cells.genes import organism

HUMAN_GENE_NAMES = "hgnc"  # table of ``config/datasets.yaml`` with symbols and Ensembl ids of human genes
HUMAN_ORTHOLOGS = {"mouse": "hcop_mouse"}  # its tables of human orthologs, by the species of the cells
IDENTIFIERS = {"symbol": ("symbol", "gene symbols"), "ensembl": ("ensembl_id", "Ensembl ids")}


class Needs(Protocol):
    """What a model needs of cells: see ``layerscope.models.catalogue.Family``."""

    @property
    def values(self) -> Collection[str]:
        """``counts``, ``log_normalised`` or both."""

    @property
    def identifiers(self) -> str:
        """``symbol``, ``ensembl`` or ``any``."""

    @property
    def species(self) -> Collection[str]:
        """Organisms whose genes it knows; none, where it needs to know no gene."""


@dataclass(frozen=True)
class Fit:
    """``lacks`` is why a model cannot run, with the remedy; the other two are tables that make it run."""

    lacks: str = ""
    gene_names: str = ""
    orthologs: str = ""

    def line(self) -> str:
        """In words."""
        if self.lacks:
            return f"no: {self.lacks}"
        if self.orthologs:
            return f"yes, with `orthologs: {{table: {self.orthologs}}}` in the dataset"
        return f"yes, with `gene_names: {self.gene_names}` in the dataset" if self.gene_names else "yes"


def fit(
    needs: Needs,
    values: str | None,
    genes: pd.DataFrame,
    where_counts_are: str = "",
    species: Collection[str] | None = None,
) -> Fit:
    """How a model gets on with cells whose matrix holds ``values`` (None: nothing that can be used).

    ``species`` are those that one checkpoint knows, if they are not all of its family.
    """
    lacks = []
    if values is None:
        lacks.append("no matrix holds counts or normalised values that can be used")
    elif ("counts" if values == "counts" else "log_normalised") not in needs.values:  # noqa: PD011
        remedy = f" ({where_counts_are})" if where_counts_are else ", and no matrix of the file holds them"
        lacks.append(f"it needs raw counts{remedy}")
    known = needs.species if species is None or not needs.species else species
    of = organism(genes)
    if known and of in HUMAN_ORTHOLOGS and of not in known:
        return Fit("; ".join(lacks), orthologs=HUMAN_ORTHOLOGS[of])
    column, words = IDENTIFIERS.get(needs.identifiers, ("", ""))
    if not column or column in genes:
        return Fit("; ".join(lacks))
    if of == "human":
        return Fit("; ".join(lacks), HUMAN_GENE_NAMES)
    if of in HUMAN_ORTHOLOGS and "human" in known:  # whose table has both names of the human genes
        return Fit("; ".join(lacks), orthologs=HUMAN_ORTHOLOGS[of])
    lacks.append(
        f"it needs {words}: name the column of var that holds them (`genes: {{{column}: COLUMN}}`), or a "
        "table of both under `gene_names`"
    )
    return Fit("; ".join(lacks))
