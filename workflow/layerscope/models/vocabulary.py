"""Which genes a model knows, and which columns of a file of cells they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from layerscope.cells.genes import ENSEMBL, are_ensembl, strip_version
from layerscope.errors import DataError, ModelError

Identifiers = Literal["ensembl", "symbol"]
VAR_NAMES = "var_names"
STANDARD_COLUMN: Mapping[str, str] = {"ensembl": "ensembl_id", "symbol": "symbol"}
EXPECTED_RATE, LEAST_RATE = 0.5, 0.2
ORTHOLOGS = "set `orthologs` of the dataset for their human orthologs"


@dataclass(frozen=True)
class Vocabulary:
    """The genes that a model knows, as the checkpoint spells them, each once."""

    genes: tuple[str, ...]
    source: str  # the file they were read from, for messages
    # names, each with the gene that it means, where a checkpoint has a table: genes are found by these alone
    aliases: Mapping[str, str] | None = None
    ignore_case: bool = False  # whether names are found however they are capitalised

    def __post_init__(self) -> None:
        if not self.genes:
            raise ModelError(f"{self.source}: the vocabulary holds no gene")
        repeated = [gene for gene, times in Counter(self.genes).items() if times > 1][:3]
        if repeated:
            raise ModelError(f"{self.source}: genes are named twice in the vocabulary, {', '.join(repeated)}")

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of each gene by name, as :meth:`place` looks it up."""
        place = {gene: i for i, gene in enumerate(self.genes)}
        if self.aliases is None:
            return {self._spelt(gene): i for gene, i in place.items()}
        return {self._spelt(name): place[gene] for name, gene in self.aliases.items() if gene in place}

    def place(self, name: str) -> int:
        """Position of the gene that ``name`` means, -1 if none; an Ensembl id may carry a version."""
        return self.index.get(self._spelt(name), -1)

    def _spelt(self, name: str) -> str:
        return strip_version(name.upper() if self.ignore_case else name)

    @cached_property
    def identifiers(self) -> Identifiers:
        """``"ensembl"`` if most of the genes look like Ensembl ids, else ``"symbol"``."""
        return "ensembl" if are_ensembl(self.genes) else "symbol"


def genes_of(tokens: Mapping[str, int], brackets: str = "<>") -> list[str]:
    """The tokens that are genes, not special ones such as ``<cls>``, by ascending id."""
    return sorted(tokens.keys() - special_of(tokens, brackets).keys(), key=tokens.__getitem__)


def special_of(tokens: Mapping[str, int], brackets: str = "<>") -> dict[str, int]:
    """The tokens that are no genes, with their ids."""
    return {token: i for token, i in tokens.items() if token[:1] + token[-1:] == brackets}


def refusals(n_genes: Iterable[int], minimum: int | None = None) -> list[str]:
    """Per cell, why it is refused by its number of expressed genes; empty where it is not.

    ``minimum`` is the setting ``min_expressed_genes`` of a model that has it; others need one gene.
    """
    if minimum is None:
        return ["" if n else "expresses no gene of the vocabulary" for n in n_genes]
    few = f"genes of the vocabulary, fewer than min_expressed_genes = {minimum}"
    return ["" if n >= minimum else f"expresses {n} {few}" for n in n_genes]


def demand_ids(tokens: Mapping[str, int], path: Path) -> None:
    """Refuse a file of tokens whose ids are not whole numbers, each once."""
    wrong = [token for token, token_id in tokens.items() if type(token_id) is not int]
    if wrong:
        raise ModelError(f"{path}: the id of {wrong[0]!r} is {tokens[wrong[0]]!r}, not a whole number")
    if len(set(tokens.values())) != len(tokens):
        raise ModelError(f"{path}: two tokens share an id")


@dataclass(frozen=True, kw_only=True)
class GeneMatch:
    """How the columns of a file of cells meet a vocabulary."""

    column: str  # where the names were read: ``var_names`` or a column of ``var``
    index: npt.NDArray[np.int64]  # position in the vocabulary of each column of the file, -1 if not known
    gene_columns: npt.NDArray[
        np.int64
    ]  # first column for each gene of the vocabulary, -1 where there is none
    n_columns: npt.NDArray[np.int64]  # how many columns name each gene of the vocabulary
    rate: float  # share of the file's columns that the vocabulary knows
    coverage: float  # share of the vocabulary that the file has
    summary: str
    warning: str  # what is likely to be wrong if the rate is low; empty otherwise


def match_genes(
    vocabulary: Vocabulary, names: Mapping[str, Sequence[str]], *, path: str, column: str | None = None
) -> GeneMatch:
    """Find each column of a file of cells in a vocabulary, spelt as the vocabulary wants it.

    ``names`` are ``var_names`` and the text columns of ``var``; ``column`` is the one to use, by default the
    standard one of the vocabulary's kind (``ensembl_id`` or ``symbol``) if it names any known gene, else the
    one that knows most. A DataError if it is not there, or no gene of the file is known.
    """
    if column is not None and column not in names:
        available = ", ".join(names)
        raise DataError(
            f"{path}: var has no column {column!r}; it has {available}. Choose with --set gene_column=NAME"
        )
    places = {
        name: np.array([vocabulary.place(gene) for gene in genes], dtype=np.int64)
        for name, genes in names.items()
        if column in (None, name)
    }
    standard = STANDARD_COLUMN[vocabulary.identifiers]
    if standard in places and (places[standard] >= 0).any():
        chosen = standard
    else:
        chosen = max(places, key=lambda name: int((places[name] >= 0).sum()))
    index = places[chosen]
    known = index >= 0
    rate = float(known.mean()) if len(index) else 0.0
    remedy = _likely_cause(vocabulary, names[chosen], known)
    summary = (
        f"{path}: {int(known.sum())} of {len(index)} genes (by {chosen}) are in the model's vocabulary of "
        f"{len(vocabulary.genes)} {_kind(vocabulary)}"
    )
    if not known.any() or (rate < LEAST_RATE and ORTHOLOGS in remedy):
        raise DataError(f"{summary}. {remedy}")
    first = np.full(len(vocabulary.genes), -1, dtype=np.int64)
    columns = np.flatnonzero(known)[::-1]
    first[index[columns]] = columns
    return GeneMatch(
        column=chosen,
        index=index,
        gene_columns=first,
        n_columns=np.bincount(index[known], minlength=len(vocabulary.genes)),
        rate=rate,
        coverage=float((first >= 0).mean()),
        summary=f"{summary} ({rate:.0%})",
        warning=f"{summary} ({rate:.0%}). {remedy}" if rate < EXPECTED_RATE else "",
    )


def _kind(vocabulary: Vocabulary) -> str:
    return "Ensembl ids" if vocabulary.identifiers == "ensembl" else "gene symbols"


def _likely_cause(vocabulary: Vocabulary, names: Sequence[str], known: npt.NDArray[np.bool_]) -> str:
    """Name what most probably keeps the unknown names unknown."""
    unknown = [name for name, is_known in zip(names, known, strict=True) if not is_known]
    examples = f"Unknown are, for example, {', '.join(map(repr, unknown[:3]))}"
    ensembl = sum(ENSEMBL.match(name) is not None for name in unknown)
    if vocabulary.identifiers == "symbol" and ensembl > len(unknown) / 2:
        return f"{examples}: Ensembl ids where symbols are needed. Add a column 'symbol' to var"
    if vocabulary.identifiers == "ensembl" and ensembl <= len(unknown) / 2:
        return f"{examples}: no Ensembl ids, which the model needs. Add a column 'ensembl_id' to var"
    if vocabulary.identifiers == "ensembl":
        ours, theirs = _prefix(vocabulary.genes), _prefix(unknown)
        if ours == theirs:
            return f"{examples}. Likely another annotation"
        return f"{examples}: of another species ({theirs}; the model knows {ours}). To go on, {ORTHOLOGS}"
    folded = {gene.upper() for gene in vocabulary.index}
    if sum(name.upper() in folded for name in unknown) > len(unknown) / 2:
        return (
            f"{examples}: known if written in capitals, so these look like mouse symbols. Take a model that "
            f"knows mouse genes, or {ORTHOLOGS}"
        )
    return (
        f"{examples}. Likely another species or annotation, or the wrong column: choose one with "
        "--set gene_column=NAME"
    )


def _prefix(names: Sequence[str]) -> str:
    """How most Ensembl ids begin: ``ENSG`` of human, ``ENSMUSG`` of mouse."""
    prefixes = Counter(match[0][:-11] for name in names if (match := ENSEMBL.match(name)))
    return prefixes.most_common(1)[0][0]
