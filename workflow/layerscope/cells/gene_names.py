"""The other name of a gene: Ensembl ids for symbols and symbols for Ensembl ids, from a published table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from layerscope.cells.genes import ENSEMBL_COLUMNS, SYMBOL_COLUMNS, strip_version
from layerscope.cells.labels import among
from layerscope.errors import DataError

PREVIOUS = "prev_symbol"
LISTED_BY = "|"


@dataclass(frozen=True)
class GeneNames:
    """A table of genes: Ensembl ids by symbol of today, and by earlier symbols that one gene alone had."""

    name: str
    ensembl_ids: Mapping[str, str]
    previous: Mapping[str, str]

    @classmethod
    def read(cls, path: str | Path) -> GeneNames:
        """Read a table in the layout of HGNC's complete set, or any with a column of each kind of name.

        Tab-separated text (commas if the name ends in ``.csv``), gzip or not, with a header. ``prev_symbol``,
        if there is one, lists earlier symbols with ``|`` between them.
        """
        path, table = Path(path), read_table(path, "table of gene names")
        symbols = table[_column(table, SYMBOL_COLUMNS, path.name)].str.strip()
        ids = table[_column(table, ENSEMBL_COLUMNS, path.name)].str.strip().map(strip_version)
        current = _of_one_gene(symbols, ids)
        if not current:
            raise DataError(f"{path.name}: no row names both a symbol and an Ensembl id")
        if PREVIOUS not in table:
            return cls(path.name, current, {})
        earlier = table[PREVIOUS].str.split(LISTED_BY).explode().str.strip()
        previous = _of_one_gene(earlier[~earlier.isin(symbols)], ids[symbols != ""])
        return cls(path.name, current, previous)

    def complete(self, var: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Add the kind of name that a table of genes lacks ("" where unknown), and say how many are known.

        Names are compared as they are spelt. An earlier symbol counts only where the file does not also have
        the gene under its symbol of today. A table with both kinds of name stays as it is.
        """
        if {"symbol", "ensembl_id"} <= set(var.columns):
            return var, ""
        if "symbol" in var:
            added, known = "ensembl_id", self._ids_of(var["symbol"].tolist())
        else:
            names = {gene: symbol for symbol, gene in self.ensembl_ids.items()}
            added, known = "symbol", [names.get(gene, "") for gene in var["ensembl_id"]]
        n_known = sum(map(bool, known))
        if not n_known:
            raise DataError(
                f"{self.name}: knows none of the {len(var):,} genes, such as "
                f"{', '.join(map(repr, var.iloc[:3, 0]))}; is it of another species? Mend `gene_names`"
            )
        kind = "Ensembl ids" if added == "ensembl_id" else "symbols"
        sentence = f"{kind} of {n_known:,} of {len(var):,} genes from {self.name}"
        return var.assign(**{added: known}), sentence

    def _ids_of(self, symbols: Sequence[str]) -> list[str]:
        ids = [self.ensembl_ids.get(symbol, "") for symbol in symbols]
        taken = set(ids)
        earlier = [self.previous.get(symbol, "") for symbol in symbols]
        return [
            gene or ("" if former in taken else former) for gene, former in zip(ids, earlier, strict=True)
        ]


def read_table(path: str | Path, what: str) -> pd.DataFrame:
    """Read text with a header, tab-separated (by commas if the name ends in ``.csv``), gzip or not."""
    path = Path(path)
    try:
        separator = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path.name}: no {what} can be read ({error})") from error


def _column(table: pd.DataFrame, usual: Sequence[str], where: str) -> str:
    for name in usual:
        if name in table.columns:
            return name
    raise DataError(f"{where}: no column {usual[0]!r}; {among(usual[0], list(table.columns))}")


def _of_one_gene(names: pd.Series, ids: pd.Series) -> dict[str, str]:
    """Names that stand for one gene, with that gene; those of several are left out."""
    pairs = pd.DataFrame({"name": names}).join(ids.rename("id")).drop_duplicates()
    pairs = pairs[(pairs["name"] != "") & (pairs["id"] != "")].dropna()
    pairs = pairs[~pairs["name"].duplicated(keep=False)]
    return dict(zip(pairs["name"], pairs["id"], strict=True))
