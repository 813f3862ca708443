"""Gene identifiers: symbols and Ensembl ids told apart, versions stripped, repeats kept apart."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from layerscope.cells.labels import among, text
from layerscope.errors import DataError

Organism = Literal["human", "mouse", "unknown"]

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}", re.ASCII)
VERSION = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+", re.ASCII)
HUMAN_SYMBOL = re.compile(r"[A-Z][A-Z0-9-]*(orf\d+[A-Z0-9]*)?(\.\d+)?", re.ASCII)
MOUSE_SYMBOL = re.compile(r"([A-Z][a-z0-9-]*[a-z][A-Za-z0-9-]*|\d{7}[A-L]\d\dRik|mt-\w+)(\.\d+)?", re.ASCII)
IDENTIFIERS = (
    ("ensembl_id", re.compile(r"ENSG\d{11}.*", re.ASCII), re.compile(r"ENSMUSG\d{11}.*", re.ASCII)),
    ("symbol", HUMAN_SYMBOL, MOUSE_SYMBOL),
)
OTHER_IDS = re.compile(
    r"\d+|WBGene\d{8}|FBgn\d{7}|AT[1-5CM]G\d{5}|Y[A-P][LR]\d{3}[WC](-[A-Z])?|(ZDB-GENE|RGD|MGI|HGNC|NCBIGene):?[\d-]+"
    r"|[NX][MR]_\d+(\.\d+)?|ENS[A-Z]*T\d{11}(\.\d+)?",
    re.ASCII,
)
"""Identifiers of genes that are neither symbols nor Ensembl's of vertebrates."""
EVERYWHERE = re.compile(
    r"MT-[A-Z]+\d*[A-Z]*|ACTB|GAPDH|B2M|MALAT1|RP[LS]\d+[AXL]?|EEF1A1|TMSB4X|FT[LH]1?|TPT1|UBB|HSP90AB1", re.I
)
"""Symbols that nearly every table of genes has, in any case."""
BARCODE = re.compile(r"(.*[_:#-])?([ACGTN]{8,}|cell[ _.-]?\d+)([_.:-]\w+)*", re.I | re.ASCII)
"""Names of cells, as sequencing and simulations give them."""
MIN_EVERYWHERE, MAX_GENES = 2, 100_000
MIN_SHARE_OF_STEMS = 0.3
GENE_COLUMNS = ("symbol", "ensembl_id")
INDEX = "index"
SAMPLE = 2000
MAJORITY = 0.5
SYMBOL_COLUMNS = (
    *("symbol", "gene_symbol", "gene_symbols"),
    *("gene_name", "gene_names", "feature_name", "gene_short_name"),
)
ENSEMBL_COLUMNS = ("ensembl_id", "ensembl_gene_id", "gene_id", "gene_ids", "feature_id", "ensembl")


def strip_version(name: str) -> str:
    """Strip the version from an Ensembl gene id (``ENSG00000141510.17``); other names stay as they are."""
    return VERSION.sub(r"\1", name)


def are_ensembl(names: Sequence[str]) -> bool:
    """Whether most of a sample of names are Ensembl gene ids."""
    return _are_mostly(ENSEMBL.match, names)


def why_transposed(cell_ids: Sequence[str], genes: Sequence[str]) -> str:
    """Why a table looks turned: its rows are named like genes, or its columns like cells; ``""`` if not."""
    if _are_genes(genes):
        return ""
    rows_are_genes = _are_genes(cell_ids) and (_are_cells(genes) or not _are_varied(genes))
    if rows_are_genes or (_are_cells(genes) and not _are_cells(cell_ids)):
        return (
            f"cells have names such as {', '.join(cell_ids[:3])}, and genes such as {', '.join(genes[:3])}: "
            "the matrix looks transposed; turn it (adata.T) and write it again"
        )
    return ""


def _are_genes(names: Sequence[str]) -> bool:
    known = sum(EVERYWHERE.fullmatch(name) is not None for name in names[:MAX_GENES])
    return are_ensembl(names) or known >= MIN_EVERYWHERE


def _are_cells(names: Sequence[str]) -> bool:
    return _are_mostly(BARCODE.fullmatch, names)


def _are_varied(names: Sequence[str]) -> bool:
    """Whether names differ in more than numbers, as symbols do."""
    stems = [re.sub(r"[\W\d_]", "", name) for name in _sample(names)]
    return len(set(stems)) > MIN_SHARE_OF_STEMS * len(stems)


def organism(var: pd.DataFrame) -> Organism:
    """Tell human from mouse by a sample of the genes' names; ``unknown`` where they fit neither."""
    species = {_species(var[name].tolist(), *patterns) for name, *patterns in IDENTIFIERS if name in var}
    species.discard("unknown")
    return species.pop() if len(species) == 1 else "unknown"


def _species(names: Sequence[str], human: re.Pattern[str], mouse: re.Pattern[str]) -> Organism:
    sample = _sample(names)
    as_human = sum(bool(human.fullmatch(name)) for name in sample)
    as_mouse = sum(bool(mouse.fullmatch(name)) for name in sample)
    if max(as_human, as_mouse) <= MAJORITY * len(sample):
        return "unknown"
    return "human" if as_human > as_mouse else "mouse"


def is_mitochondrial(var: pd.DataFrame) -> np.ndarray | None:
    """Which genes have a symbol that starts with ``MT-`` (``mt-``); ``None`` without symbols."""
    if "symbol" not in var:
        return None
    mitochondrial: np.ndarray = var["symbol"].str.upper().str.startswith("MT-").to_numpy(dtype=bool)
    return mitochondrial


def unique_names(names: Sequence[str]) -> list[str]:
    """Make names unique: the second ``A`` becomes ``A-1`` (or the next that is free)."""
    from anndata.utils import make_index_unique

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # on names that end in -1
        return list(make_index_unique(pd.Index(names, dtype=object)))


def identify(
    index: Sequence[str], var: pd.DataFrame, mapping: Mapping[str, str | None], where: str
) -> pd.DataFrame:
    """Make the canonical genes' table, indexed by unique names.

    ``mapping`` gives the columns of ``var`` (or ``"index"``); what it does not give is told by usual names.
    """
    index = [name.strip() for name in index]
    if not index:
        raise DataError(f"{where}: there are no genes")
    columns = {**_guess(index, var), **mapping}
    table: dict[str, list[str]] = {}
    for name in GENE_COLUMNS:
        if column := columns.get(name):
            genes = _column(index, var, column, where, name)
            _demand_kind(genes, name, column, where)
            table[name] = [strip_version(gene) for gene in genes] if name == "ensembl_id" else genes
    names = [strip_version(gene) for gene in index]
    return pd.DataFrame(table, index=pd.Index(unique_names(names), dtype=object))


def _guess(index: Sequence[str], var: pd.DataFrame) -> dict[str, str]:
    guessed = {"ensembl_id" if are_ensembl(index) else "symbol": INDEX}
    if _are_mostly(OTHER_IDS.fullmatch, index) and any(column in var.columns for column in SYMBOL_COLUMNS):
        guessed = {}
    for name, usual in (("symbol", SYMBOL_COLUMNS), ("ensembl_id", ENSEMBL_COLUMNS)):
        for column in usual:
            if column not in var.columns or name in guessed:
                continue
            if are_ensembl(text(var[column]).tolist()) == (name == "ensembl_id"):
                guessed[name] = column
    return guessed or {"symbol": INDEX}


def _are_mostly(matches: Callable[[str], object], names: Sequence[str]) -> bool:
    """Whether most of a sample of names match."""
    sample = _sample(names)
    return sum(matches(name) is not None for name in sample) > MAJORITY * len(sample)


def _column(index: Sequence[str], var: pd.DataFrame, column: str, where: str, name: str) -> list[str]:
    if column == INDEX:
        return list(index)
    if column not in var.columns:
        available = [INDEX, *var.columns]
        raise DataError(f"{where}: genes: {name}: no column {column!r} in var; {among(column, available)}")
    names: list[str] = text(var[column]).tolist()
    return names


def _demand_kind(names: Sequence[str], name: str, column: str, where: str) -> None:
    if names and are_ensembl(names) != (name == "ensembl_id"):
        few = ", ".join(_sample(names)[:3])
        expected, other = ("Ensembl ids", "symbol") if name == "ensembl_id" else ("symbols", "ensembl_id")
        raise DataError(
            f"{where}: genes: {name}: {column!r} does not hold {expected} but names such as {few}; "
            f"is it the {other}?"
        )


def _sample(names: Sequence[str]) -> list[str]:
    step = max(len(names) // SAMPLE, 1)
    return [name for name in names[::step] if name]
