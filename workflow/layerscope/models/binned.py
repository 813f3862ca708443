"""Sentences of scGPT, and of Tahoe-X1 after it: a cell token, and genes with values binned in the cell."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from layerscope.models.base import CellBlock, FoundationModel, Integers, Network, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of
from layerscope.models.transformer import usual_pooling
from layerscope.models.vocabulary import Vocabulary, refusals, special_of
from layerscope.models.weights import Checkpoint, Config

CELL, VOCABULARY = "<cls>", "vocab.json"


@dataclass(frozen=True, kw_only=True)
class BinnedRelease(Checkpoint[Config]):
    """What a release folder holds."""

    tokens: Mapping[str, int]  # special ones included
    genes: Sequence[str]  # the tokens that are genes, by ascending id


class BinnedModel(FoundationModel):
    """A checkpoint whose sentences are special tokens, then the expressed genes by id with their bins."""

    poolings = ("cls", "mean", "mean_genes", "max")
    default_pooling = "cls"
    accepts = ("counts", "log_normalised")
    rank_based = True
    max_length: int
    cell_value: float  # of the special tokens
    opening: tuple[int, ...]  # ids of the special tokens

    def __init__(self, module: Network, release: BinnedRelease[Any], folder: Path, hidden_size: int) -> None:
        vocabulary = Vocabulary(tuple(release.genes), str(folder / VOCABULARY))
        super().__init__(module, vocabulary, release.weights, hidden_size)
        self.gene_ids = np.array([release.tokens[gene] for gene in release.genes], dtype=np.int64)
        self.special_tokens = special_of(release.tokens)
        self.opening = (release.tokens[CELL],)

    def tokenise(self, block: CellBlock) -> Sentences:
        """The special tokens, then the expressed genes, with their values binned within the cell.

        Bins are made of all expressed genes, before a long cell loses some. A cell without any is refused.
        """
        room = self.max_length - len(self.opening)
        n_genes = np.minimum(block.n_genes, room)
        offsets = offsets_of(np.where(n_genes > 0, n_genes + len(self.opening), 0))
        ids = np.zeros(offsets[-1], dtype=np.int64)
        values = np.full(offsets[-1], self.cell_value, dtype=np.float32)
        for cell in np.flatnonzero(n_genes).tolist():
            genes, bins = self._cell(block, cell, room)
            start = offsets[cell] + len(self.opening)
            ids[offsets[cell] : start] = self.opening
            ids[start : offsets[cell + 1]] = self.gene_ids[genes]
            values[start : offsets[cell + 1]] = bins
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "values": values},
            cells=self._of_cells(block),
            refused=refusals(n_genes),
            shortened=block.n_genes > room,
        )

    @abstractmethod
    def _cell(self, block: CellBlock, cell: int, room: int) -> tuple[Integers, npt.NDArray[np.float32]]:
        """The genes that a cell has tokens of, at most ``room``, and their bins."""

    def _of_cells(self, block: CellBlock) -> dict[str, Integers]:
        """Columns with one number per cell."""
        return {}

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling, first=len(self.opening))
