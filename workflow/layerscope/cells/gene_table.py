"""The genes of one file: without features of other types and genomes, and without prefixes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layerscope.cells.features import are_genes, feature_types, suspects
from layerscope.cells.genes import ENSEMBL_COLUMNS, identify
from layerscope.cells.genomes import choose_genome, genomes_of
from layerscope.cells.settings import Reading

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneTable:
    """Genes of a file: ``var`` as :func:`layerscope.cells.genes.identify` makes it."""

    var: pd.DataFrame
    columns: np.ndarray | None  # positions of the genes among the matrix's columns; None for all of them
    remarks: list[str] = field(default_factory=list)  # what was left out or stripped
    doubts: list[str] = field(default_factory=list)  # what may be no gene and counts as one
    genomes: dict[str, int] = field(default_factory=dict)
    """Genomes of the features with their sizes, if the file names any."""


def gene_table(features: pd.DataFrame, settings: Reading, where: str) -> GeneTable:
    """Tell the genes of a table of features."""
    types = feature_types(features)
    keep, other_types = are_genes(types, where) if types is not None else (np.ones(len(features), bool), "")
    genes = features[keep]
    stripped, of = genomes_of(genes)
    chosen, other_genomes = choose_genome(of, settings.genome, where)
    keep[keep] = chosen
    table = stripped[chosen]
    var = identify(table.index.tolist(), table, settings.genes, where)
    remarks = [other_types, other_genomes]
    if chosen.all() and not stripped.index.equals(genes.index):
        remarks.append(f"genome stripped from names such as {genes.index[0]}")
    if "ensembl_id" not in var and (ids := [name for name in ENSEMBL_COLUMNS if name in table]):
        remarks.append(f"{ids[0]} holds no Ensembl ids but names such as {table[ids[0]].iloc[0]}: left out")
    doubts = _doubts([*table.index.astype(str), *var.get("symbol", ())])
    sizes = pd.Series(of[of != ""]).value_counts().to_dict()
    columns = None if keep.all() else np.flatnonzero(keep)
    return GeneTable(var, columns, [remark for remark in remarks if remark], doubts, sizes)


def _doubts(names: Sequence[str]) -> list[str]:
    named = suspects(dict.fromkeys(names))
    if not named:
        return []
    return [
        f"{len(named):,} features look like antibodies, hashtags or guides, such as {', '.join(named[:3])}, "
        "and count as genes: leave them out of the file, or give var a column feature_types"
    ]
