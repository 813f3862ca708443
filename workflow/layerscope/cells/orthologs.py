"""Genes of another species as their human orthologs, from a published table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from layerscope.cells.gene_names import read_table
from layerscope.cells.genes import are_ensembl, organism, strip_version, unique_names
from layerscope.cells.matrix import Blocks, RowMatrix
from layerscope.cells.settings import Policy
from layerscope.chance import generator
from layerscope.errors import DataError

KINDS = {"ensembl_id": "Ensembl ids", "symbol": "symbols"}
HUMAN = re.compile(r"human|hsapiens|homo_sapiens")
OF_THE_QUERY = re.compile(
    r"(ensembl_gene_id|gene_stable_id|ensembl_id)(_version)?|((external_)?gene_)?(name|symbol)"
)
"""Columns of BioMart that name no species: those of the genes that it was asked for."""
SYMBOL = re.compile(r"(.*_)?(symbols?|gene_names?)|[a-z]*symbols?|[a-z]+_?genes?")
SPECIES = re.compile(
    r"human|hsapiens|homo_sapiens|mouse|mmusculus|mus_musculus|rat|rnorvegicus|rattus_norvegicus|zebrafish|drerio"
    r"|danio_rerio|pig|sscrofa|sus_scrofa|macaque|rhesus|cynomolgus|marmoset|chimpanzee|chicken|frog|fly|worm"
)
TYPE = re.compile(r"(.*_)?(orthology|homology)_type")
ONE_TO_ONE = re.compile(r"one[-_ ]?(?:2|to)[-_ ]?one|1:1", re.I)
SUPPORT, MIN_SUPPORT = "support", 3
"""HCOP lists the databases that assert a pair; with fewer, a pair is left out."""
NOTHING = "-"


@dataclass(frozen=True)
class OrthologTable:
    """Pairs of a gene of another species and a human one.

    ``pairs`` has, as text ("" where unknown), those of the columns ``symbol`` and ``ensembl_id`` (of the
    other species), ``human_symbol`` and ``human_ensembl_id`` that the file has, one of each species or more.
    """

    name: str  # of the file
    pairs: pd.DataFrame
    one_to_one: pd.Series  # which pairs the file itself calls so; all, where it does not say

    @classmethod
    def read(cls, path: str | Path) -> OrthologTable:
        """Read a table with a header: two columns of names, or BioMart's, or HCOP's."""
        table = read_table(path, "table of orthologs").replace(NOTHING, "")
        name = Path(path).name
        if SUPPORT in table:
            table = table[table[SUPPORT].str.split(",").str.len() >= MIN_SUPPORT].reset_index(drop=True)
        columns = _columns(table)
        if sum(column.startswith("human_") for column in columns) in (0, len(columns)):
            raise DataError(
                f"{name}: expected columns that name genes of human and of another species, such as `human` "
                f"and `mouse`, or those of BioMart or HCOP; it has {', '.join(map(repr, table.columns))}"
            )
        pairs = pd.DataFrame({column: table[header].str.strip() for column, header in columns.items()})
        for column in pairs.columns[pairs.columns.str.endswith("ensembl_id")]:
            pairs[column] = pairs[column].map(strip_version)
        types = [column for column in table if TYPE.fullmatch(_plain(column))]
        is_one = table[types[0]].str.contains(ONE_TO_ONE) if types else pd.Series(True, index=table.index)
        return cls(name, pairs, is_one)

    def shuffled(self, seed: int) -> OrthologTable:
        """The same genes of both species, matched at random; those that were not one-to-one stay so."""
        order = generator(seed, [self.name], "orthologs").permutation(len(self.pairs))
        pairs = self.pairs.copy()
        human = pairs.columns[pairs.columns.str.startswith("human_")]
        pairs[human] = pairs[human].to_numpy()[order]
        is_one = self.one_to_one & self.one_to_one.iloc[order].to_numpy()
        return OrthologTable(f"{self.name}, matched at random", pairs, is_one)

    def map(self, var: pd.DataFrame, policy: Policy) -> tuple[pd.DataFrame, sparse.csr_matrix, str]:
        """The human genes of a table of genes, the matrix ``(n_genes, n_human)`` to sum counts, a sentence.

        ``one_to_one`` keeps pairs in which neither gene has another ortholog; ``sum`` adds up the counts of
        genes that have one and the same human gene. A gene with several human ones is left out by both.
        """
        kinds = [kind for kind in KINDS if kind in var and kind in self.pairs]
        if not kinds:
            ours, theirs = (
                " and ".join(words for kind, words in KINDS.items() if kind in columns)
                for columns in (var, self.pairs)
            )
            raise DataError(f"{self.name}: names genes by {theirs}, the cells by {ours}; take another table")
        by_kind = {kind: self._human(kind, policy) for kind in kinds}
        kind = max(kinds, key=lambda kind: int(var[kind].isin(by_kind[kind].index).sum()))
        human = var[kind].map(by_kind[kind]["human"]).fillna("").to_numpy(dtype=object)
        known = np.flatnonzero(human != "")
        species = {"unknown": "the other species"}.get(of := organism(var), of)
        if not len(known):
            raise DataError(
                f"{self.name}: knows none of the {len(var):,} genes, such as "
                f"{', '.join(map(repr, var[kind].iloc[:3]))} ({species} by their names); is it a table of "
                "another species? Mend `orthologs`"
            )
        codes, genes = pd.factorize(human[known])
        mapping = sparse.csr_matrix(
            (np.ones(len(known), dtype=np.int8), (known, codes)), shape=(len(var), len(genes))
        )
        named = by_kind[kind].drop_duplicates("human").set_index("human").loc[genes]
        table = named.loc[:, [kind for kind in KINDS if kind in named]]
        best = table["symbol"].where(table["symbol"] != "", genes) if "symbol" in table else pd.Series(genes)
        table.index = pd.Index(unique_names(best.tolist()), dtype=object)
        sentence = (
            f"{len(genes):,} human genes for {len(known):,} of {len(var):,} genes of {species}, by "
            f"{KINDS[kind]} from {self.name} ({policy})"
        )
        return table, mapping, sentence

    def _human(self, kind: str, policy: Policy) -> pd.DataFrame:
        """By name of the other species' gene: its human gene (``human``), and that gene's names."""
        keys = [column for column in ("human_ensembl_id", "human_symbol") if column in self.pairs]
        pairs = self.pairs[self.one_to_one] if policy == "one_to_one" else self.pairs
        pairs = pairs.assign(human=pairs[keys[0]])
        pairs = pairs[(pairs[kind] != "") & (pairs["human"] != "")].drop_duplicates([kind, "human"])
        several = pairs[kind].duplicated(keep=False)
        if policy == "one_to_one":
            several |= pairs["human"].duplicated(keep=False)
        names = {key.removeprefix("human_"): pairs[key] for key in keys}
        table = pd.DataFrame({"human": pairs["human"], "of": pairs[kind], **names})
        return table[~several].set_index("of")


class OrthologColumns:
    """Rows of a matrix over the human orthologs of its genes; knows how much of its counts these hold."""

    def __init__(self, matrix: RowMatrix, mapping: sparse.csr_matrix) -> None:
        self.matrix = matrix
        kind = matrix.dtype if matrix.dtype.kind == "f" else np.dtype(np.int64)
        self._mapping = mapping.astype(kind)
        self.shape, self.dtype = (matrix.shape[0], mapping.shape[1]), kind
        self.total = self.left = 0.0
        """Sums of the blocks that the last call of :meth:`blocks` gave, before and after."""

    def blocks(self, rows: np.ndarray) -> Blocks:
        """See :meth:`layerscope.cells.matrix.RowMatrix.blocks`."""
        self.total = self.left = 0.0
        for part, block in self.matrix.blocks(rows):
            mapped = sparse.csr_matrix(block @ self._mapping)
            mapped.sort_indices()
            self.total += float(np.nansum(block.data, dtype=np.float64))
            self.left += float(np.nansum(mapped.data, dtype=np.float64))
            yield part, mapped


def share_of_counts(matrices: Sequence[OrthologColumns]) -> float:
    """The share of all counts that genes with an ortholog hold, of the blocks that were gone through last."""
    total = sum(matrix.total for matrix in matrices)
    return sum(matrix.left for matrix in matrices) / total if total else 1.0


def _plain(header: object) -> str:
    return re.sub(r"\W+", "_", str(header).strip().casefold()).strip("_")


def _columns(table: pd.DataFrame) -> dict[str, str]:
    """Header of each column of :attr:`OrthologTable.pairs` that a table has."""
    names = {header: _plain(header) for header in table}
    marks_human = any(HUMAN.search(name) for name in names.values())
    columns: dict[str, str] = {}
    for header, name in names.items():
        is_query = OF_THE_QUERY.fullmatch(name) is not None
        is_human = HUMAN.search(name) is not None or (is_query and not marks_human)
        if are_ensembl(table[header].tolist()):
            kind = "ensembl_id"
        elif SPECIES.fullmatch(name) or SYMBOL.fullmatch(name) or (is_query and "id" not in name):
            kind = "symbol"
        else:
            continue
        columns.setdefault(f"human_{kind}" if is_human else kind, header)
    return columns
