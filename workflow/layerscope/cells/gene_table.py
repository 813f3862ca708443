"""Which features of a file are genes, of which genome, and what they are called.

A matrix may hold antibodies, guides, hashtags or peaks beside genes, and genes of several genomes: told by
prefixes of names (``GRCh38_TP53``, ``mm10___Trp53``), a column ``genome``, or Ensembl ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layerscope.cells.genes import ENSEMBL_COLUMNS, identify
from layerscope.cells.labels import among, text
from layerscope.cells.settings import Reading
from layerscope.errors import ConfigError, DataError

TYPE_COLUMN = re.compile(
    r"(feature|library|assay)[\W_]*(types?|biotypes?|class|kind)|types?|modalit(y|ies)", re.I
)
GENES = re.compile(
    r"genes?|gene[\W_]*expression|gex|m?rna|rna[\W_]*expression|expression|transcript(s|ome)?", re.I
)
GENE_EXPRESSION = re.compile(r"gene[\W_]*expression|gex|m?rna|rna[\W_]*expression", re.I)
OTHERS = re.compile(
    r"(antibody|antigen|crispr|guide|multiplexing|hashtag|custom|protein|peaks?|atac|vdj|spike|ercc|beam|adt|hto|cmo"
    r"|sgrnas?|grnas?|proteins|surface).*",
    re.I,
)
"""Types of other features. Biotypes of genes (``protein_coding``) are neither."""
NO_GENE = re.compile(
    r"TotalSeq|isotype|non[-_ ]?targeting|hash[-_ ]?tag|^hash\d|^sgRNA|^anti[-_ ]|^ERCC-\d{5}$"
    r"|^(HTO|ADT|CMO)[-_. ]?\d+|^(adt|prot|hto|antibody)[-_]"
    r"|[-_. ](ADT|HTO|prot|protein|sgRNA|gRNA|A0\d{3})$"
    r"|^(?-i:CD(3|8|11[abc]|16|20|25|45|45R|45R[ABO]|56|62L|123|127))$",
    re.I,
)
"""Names of antibodies, hashtags and guides that no gene has."""
KNOWN_GENOMES = (
    r"GRC[a-z]{1,2}\d+|[ht]g\d+|hs\d+|mm\d+|rn\d|danRer\d+|dm\d|ce\d+|sacCer\d|galGal\d|susScr\d+|BDGP\d+|WBcel\d+"
    r"|R64|Rnor|mRatBN\d+|Sscrofa\d+|Mmul|human|mouse|rat|zebrafish|homo_sapiens|mus_musculus|hsapiens|mmusculus"
)
"""Assemblies and species as prefixes name them."""
SPECIES = {"": "human", "MUS": "mouse", "RNO": "rat", "DAR": "zebrafish"}
ENSEMBL = re.compile(r"ENS([A-Z]*)G\d{11}", re.ASCII)
SEPARATOR = r"(?:_+|-+|:+|\.+)"
GENOME = "genome"
MAJORITY = 0.5
MIN_SHARE = 0.02


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
    named = [name for name in dict.fromkeys(names) if NO_GENE.search(name)]
    if not named:
        return []
    return [
        f"{len(named):,} features look like antibodies, hashtags or guides, such as {', '.join(named[:3])}, "
        "and count as genes: leave them out of the file, or give var a column feature_types"
    ]


def feature_types(var: pd.DataFrame) -> np.ndarray | None:
    """Type of each feature ("" where unknown), if a column of ``var`` tells genes from others."""
    for column in var.columns:
        if not TYPE_COLUMN.fullmatch(str(column).strip()):
            continue
        types = text(var[column])
        if any(GENES.fullmatch(name) or _is_other(name) for name in set(types)):
            return types
    return None


def are_genes(types: Iterable[str], where: str) -> tuple[np.ndarray, str]:
    """Which features are genes by their types (a DataError if none is), and a sentence on the others."""
    types = list(types)
    plain = any(GENE_EXPRESSION.fullmatch(name) for name in types)  # then all else is no gene, whatever it is
    others = Counter(
        name for name in types if _is_other(name) or (plain and name and not GENES.fullmatch(name))
    )
    genes = np.array([name not in others for name in types], dtype=bool)
    if not genes.any():
        raise DataError(f"{where}: no feature is a gene; there are {_counted(others)}")
    sentence = f"{sum(others.values()):,} features that are no genes left out: {_counted(others)}"
    return genes, sentence if others else ""


def _is_other(name: str) -> bool:
    return bool(OTHERS.fullmatch(name)) and not re.fullmatch(r"protein[\W_]*coding.*", name, re.I)


def _counted(sizes: Counter[str]) -> str:
    """Types, or genomes, with their numbers of features."""
    return ", ".join(f"{name} ({size:,})" for name, size in sizes.most_common())


def genomes_of(var: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Strip the genome from names of genes; beside the table each feature's genome, "" where unknown.

    It is told by the prefix, else the column ``genome``, else the species of mixed Ensembl ids.
    """
    listed = text(var[GENOME]) if GENOME in var else np.full(len(var), "", dtype=object)
    escaped = [re.escape(name) for name in sorted({*listed} - {""}, key=len, reverse=True)]
    prefix = re.compile(
        rf"((?:{'|'.join([*escaped, KNOWN_GENOMES])})(?:\.p\d+|-20\d\d-[A-Z])?){SEPARATOR}(?=.)", re.I
    )
    stripped, genomes = var.copy(), listed
    index, of_index = _strip(var.index.astype(str).tolist(), prefix)
    if of_index is not None:
        stripped.index, genomes = pd.Index(index, dtype=object), of_index
    for column in var.columns:
        if column == GENOME or not _is_text(var[column]):
            continue
        values, of_column = _strip(text(var[column]).tolist(), prefix)
        if of_column is not None:
            stripped[column] = values
            genomes = of_column if of_index is None else genomes
    return stripped, genomes if (genomes != "").any() else _species(stripped)


def choose_genome(genomes: np.ndarray, genome: str | None, where: str) -> tuple[np.ndarray, str]:
    """Which features are of the genome that settings name (else ConfigError), and a word on the others."""
    sizes = Counter(name for name in genomes if name)
    if genome is None and len(sizes) > 1:
        raise ConfigError(
            f"{where}: the genes of {len(sizes)} genomes: {_counted(sizes)}. Choose one: "
            f"`genome: {sizes.most_common(1)[0][0]}`"
        )
    if genome is None:
        return np.ones(len(genomes), dtype=bool), ""
    same = [name for name in sizes if name.casefold() == genome.casefold()]
    if not same:
        raise ConfigError(f"{where}: no gene of genome {genome!r}; {among(genome, sizes)}. Mend `genome`")
    chosen: np.ndarray = genomes == same[0]
    others = Counter({name or "no genome": n for name, n in Counter(genomes).items() if name != same[0]})
    return chosen, f"genes of other genomes than {same[0]} left out: {_counted(others)}" if others else ""


def _strip(names: Sequence[str], prefix: re.Pattern[str]) -> tuple[list[str], np.ndarray | None]:
    """Names without prefixes, and the prefixes, where most names have one; else the names, and None."""
    matches = [prefix.match(name) for name in names]
    if sum(match is not None for match in matches) <= MAJORITY * len(names):
        return list(names), None
    spelt: dict[str, str] = {}
    prefixes = [spelt.setdefault(match[1].casefold(), match[1]) if match else "" for match in matches]
    rest = [name[match.end() :] if match else name for name, match in zip(names, matches, strict=True)]
    return rest, np.array(prefixes, dtype=object)


def _species(var: pd.DataFrame) -> np.ndarray:
    """Species of each gene where Ensembl ids of several stand in one table."""
    nothing = np.full(len(var), "", dtype=object)
    for names in (var.index.astype(str), *(text(var[c]) for c in var.columns if _is_text(var[c]))):
        matches = [ENSEMBL.match(name) for name in names]
        species = np.array([SPECIES.get(m[1], f"ENS{m[1]}") if m else "" for m in matches], dtype=object)
        sizes = Counter(species[species != ""])
        if sum(size >= MIN_SHARE * len(var) for size in sizes.values()) > 1:
            return species
    return nothing


def _is_text(column: pd.Series) -> bool:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return bool((column.cat.categories if is_category else column).dtype == object)
