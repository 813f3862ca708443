"""Cells to pretrain on, as the model itself will read them later, and random masks over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layerscope.cells.canonical import read_var
from layerscope.cells.obs import read_provenance
from layerscope.errors import DataError
from layerscope.extraction.cell_stream import CellStream
from layerscope.models.base import FoundationModel, Sentences
from layerscope.models.ragged import offsets_of, runs

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

MIN_CELLS = 20
LENGTH_STEP = 8
"""Numbers of visible genes are multiples of this, so that many cells of a batch have equally many tokens."""


@dataclass(frozen=True)
class Draw:
    """Some cells, ordered by their number of visible genes, and what is to be predicted of them."""

    cells: Integers  # their numbers in the corpus
    # one per drawn token, by cell and gene
    owner: Integers  # place in ``cells``
    gene: Integers
    value: Floats  # as the model reads it
    hidden: NDArray[np.bool_]  # whether the model must not see that value
    # shape (n_cells, n_genes)
    target: Floats  # value of every gene, 0 where it is not expressed
    scored: NDArray[np.bool_]  # genes to be predicted: all that are not visible, expressed or not


@dataclass(frozen=True)
class Corpus:
    """Ragged cells: cell ``i`` owns the entries ``offsets[i]:offsets[i + 1]``."""

    offsets: Integers  # shape (n_cells + 1,)
    genes: Integers  # position of each expressed gene in the vocabulary
    values: Floats  # its value as the model reads it
    depth: Floats  # total count per cell on the model's own scale; 0 where the model reads none
    n_genes: int  # size of the vocabulary

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def means(self, cells: Integers) -> tuple[Floats, Floats]:
        """Share of some cells that express each gene, and its mean value in those; 0 where none does."""
        entries = np.repeat(np.isin(np.arange(len(self)), cells), np.diff(self.offsets))
        times = np.bincount(self.genes[entries], minlength=self.n_genes)
        summed = np.bincount(self.genes[entries], weights=self.values[entries], minlength=self.n_genes)
        means = summed / np.maximum(times, 1)
        return (times / len(cells)).astype(np.float32), means.astype(np.float32)

    def draw(self, cells: Integers, masked: float, max_visible: int, rng: np.random.Generator) -> Draw:
        """Mask a share of each cell's expressed genes and show at most ``max_visible`` of the rest.

        Of the masked genes half are drawn as hidden tokens (in proportion to the visible ones); the others
        are left out altogether, so that a model which sees hidden tokens cannot count on seeing all there is.
        """
        lengths = np.diff(self.offsets)[cells]
        shown = np.minimum(np.maximum((lengths * (1 - masked)).astype(np.int64), 1), max_visible)
        shown = np.where(shown >= LENGTH_STEP, shown // LENGTH_STEP * LENGTH_STEP, shown)
        order = np.argsort(shown, kind="stable")
        cells, lengths, shown = cells[order], lengths[order], shown[order]

        starts, entries = offsets_of(lengths), runs(self.offsets[cells], lengths)
        owner = np.repeat(np.arange(len(cells)), lengths)
        genes, values = self.genes[entries], self.values[entries]
        shuffled = np.lexsort((rng.random(len(entries)), owner))
        rank = np.empty(len(entries), dtype=np.int64)
        rank[shuffled] = np.arange(len(entries)) - starts[owner]
        visible = rank < shown[owner]
        drawn = rank < (shown + np.ceil(shown * masked / (1 - masked) / 2).astype(np.int64))[owner]

        target = np.zeros((len(cells), self.n_genes), dtype=np.float32)
        target[owner, genes] = values
        scored = np.ones(target.shape, dtype=bool)
        scored[owner[visible], genes[visible]] = False
        return Draw(cells, owner[drawn], genes[drawn], values[drawn], ~visible[drawn], target, scored)


def gene_names(path: Path, family: str) -> list[str]:
    """A file's genes by symbol (scFoundation) or Ensembl id (Tahoe-X1), whichever there is, each once."""
    var = read_var(path)
    wanted = ("symbol", "ensembl_id") if family == "scfoundation" else ("ensembl_id", "symbol")
    column = next((var[name] for name in wanted if name in var), var.index)
    return list(dict.fromkeys(name for name in column.astype(str).tolist() if name))


def read_corpus(path: Path, model: FoundationModel, n_special: int) -> Corpus:
    """Read cells through a model's tokeniser; ids below ``n_special``, or beyond its genes, are no genes."""
    read_provenance(path)
    genes, values, lengths, depth = [], [], [], []
    stream = CellStream(path, model)
    n_genes = len(model.vocabulary.genes)
    for _, block in stream.blocks(np.arange(len(stream))):
        sentences = model.tokenise(block)
        place = np.asarray(sentences.tokens["ids"], dtype=np.int64) - n_special
        is_gene = (place >= 0) & (place < n_genes)
        readable = np.array([not reason for reason in sentences.refused], dtype=bool)
        owner = np.repeat(np.arange(len(readable)), sentences.lengths)
        is_read = is_gene & readable[owner]
        genes.append(place[is_read])
        values.append(np.asarray(sentences.tokens["values"], dtype=np.float32)[is_read])
        lengths.append(np.bincount(owner[is_read], minlength=len(readable))[readable])
        depth.append(_depth(sentences)[readable])
    stream.close()
    counted = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64)
    if len(counted) < MIN_CELLS:
        raise DataError(f"{path}: {len(counted)} cells can be read; pretraining needs at least {MIN_CELLS}")
    return Corpus(
        offsets_of(counted), np.concatenate(genes), np.concatenate(values), np.concatenate(depth), n_genes
    )


def _depth(sentences: Sentences) -> Floats:
    """Value of each cell's total-count token, 0 where the model has none."""
    values = np.asarray(sentences.tokens["values"], dtype=np.float32)
    if "total_count" not in sentences.cells:
        return np.zeros(len(sentences.lengths), dtype=np.float32)
    position = sentences.cells["total_count"]
    has_token = position >= 0
    depth = np.zeros(len(position), dtype=np.float32)
    depth[has_token] = values[(sentences.offsets[:-1] + position)[has_token]]
    return depth
