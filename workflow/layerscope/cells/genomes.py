"""Genomes in one matrix, by prefixes of names (``GRCh38_TP53``, ``mm10___Trp53``) or a column ``genome``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerscope.cells.features import counted
from layerscope.cells.labels import among, text
from layerscope.errors import ConfigError

KNOWN = (
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


def genomes_of(var: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Strip the genome from names of genes; beside the table each feature's genome, "" where unknown.

    It is told by the prefix, else the column ``genome``, else the species of mixed Ensembl ids.
    """
    listed = text(var[GENOME]) if GENOME in var else np.full(len(var), "", dtype=object)
    escaped = [re.escape(name) for name in sorted({*listed} - {""}, key=len, reverse=True)]
    prefix = re.compile(
        rf"((?:{'|'.join([*escaped, KNOWN])})(?:\.p\d+|-20\d\d-[A-Z])?){SEPARATOR}(?=.)", re.I
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
            f"{where}: the genes of {len(sizes)} genomes: {counted(sizes)}. Choose one: "
            f"`genome: {sizes.most_common(1)[0][0]}`"
        )
    if genome is None:
        return np.ones(len(genomes), dtype=bool), ""
    same = [name for name in sizes if name.casefold() == genome.casefold()]
    if not same:
        raise ConfigError(f"{where}: no gene of genome {genome!r}; {among(genome, sizes)}. Mend `genome`")
    chosen: np.ndarray = genomes == same[0]
    others = Counter({name or "no genome": n for name, n in Counter(genomes).items() if name != same[0]})
    return chosen, f"genes of other genomes than {same[0]} left out: {counted(others)}" if others else ""


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
