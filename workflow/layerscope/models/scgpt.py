"""scGPT: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import ConfigError
from layerscope.models.base import (
    NO_GENE,
    CellBlock,
    FoundationModel,
    Integers,
    Sentences,
    TokenBatch,
    offsets_of,
)
from layerscope.models.scgpt_files import ARGUMENTS, CELL, IGNORED, Release, read_release, stored_as
from layerscope.models.scgpt_network import ScGptEncoder
from layerscope.models.settings import Settings
from layerscope.models.transformer import usual_pooling
from layerscope.models.vocabulary import Vocabulary, special_of
from layerscope.models.weights import load_network

BINNINGS = ("random", "highest")


class ScGpt(FoundationModel):
    """A scGPT checkpoint."""

    family = "scgpt"
    poolings = ("cls", "mean", "mean_genes", "max")
    default_pooling = "cls"
    official_pooling = "after the last block: cell token, divided by its L2 norm"
    accepts = ("counts", "log_normalised")
    rank_based = True
    module: ScGptEncoder

    def __init__(
        self, module: ScGptEncoder, release: Release, folder: Path, settings: Settings, seed: int
    ) -> None:
        vocabulary = Vocabulary(tuple(release.genes), str(folder / "vocab.json"))
        super().__init__(module, vocabulary, release.weights, module.config.hidden_size)
        self.seed = seed
        self.gene_ids = np.array([release.tokens[gene] for gene in release.genes], dtype=np.int64)
        self.special_tokens = special_of(release.tokens)
        self.cell_id, self.cell_value = release.tokens[CELL], release.pad_value
        self.n_edges = release.n_bins - 1
        self.binning = settings.take("binning", BINNINGS[0], BINNINGS)
        self.max_length = settings.take("max_length", release.max_length)
        if self.max_length < 2:
            raise ConfigError(
                f"{folder / ARGUMENTS}, --set: max_length={self.max_length}; the cell token and a gene need 2"
            )
        self.settings = settings.resolved(without=("trust_sha256",))

    def tokenise(self, block: CellBlock) -> Sentences:
        """The cell token, then the expressed genes by id, with their values binned within the cell.

        Bins are made of all expressed genes, before a long cell loses some. A cell without any is refused.
        """
        lengths = np.minimum(block.n_genes + 1, self.max_length)
        lengths[block.n_genes == 0] = 0
        offsets = offsets_of(lengths)
        ids = np.full(offsets[-1], self.cell_id, dtype=np.int64)
        values = np.full(offsets[-1], self.cell_value, dtype=np.float32)
        for cell in np.flatnonzero(lengths).tolist():
            entries = block.entries(cell)
            genes, bins = self._cell(block.genes[entries], block.values[entries], block.cell_ids[cell])
            tokens = slice(offsets[cell] + 1, offsets[cell + 1])
            ids[tokens], values[tokens] = self.gene_ids[genes], bins
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "values": values},
            cells={},
            refused=["" if length else NO_GENE for length in lengths],
            shortened=block.n_genes + 1 > self.max_length,
        )

    def _cell(
        self, genes: Integers, raw: npt.NDArray[np.float64], cell_id: str
    ) -> tuple[Integers, npt.NDArray[np.int64]]:
        """The genes that a cell keeps, and their bins."""
        draw = cell_generator(self.seed, cell_id)
        below, highest = possible_bins(raw.astype(np.float32), self.n_edges)
        bins = highest
        if self.binning == "random":
            bins = np.ceil(highest - draw.random(len(genes)) * (highest - below)).astype(np.int64)
        room = self.max_length - 1
        if len(genes) <= room:
            return genes, bins
        subset = np.sort(draw.choice(len(genes), room, replace=False))
        return genes[subset], bins[subset]

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling, first=1)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return functional.normalize(self.pool(hidden, batch, "cls"), dim=1)

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.encoder.embedding.weight, self.gene_ids


def possible_bins(
    values: npt.NDArray[np.float32], n_edges: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The bins of a cell's values by the quantiles of the cell itself, as the owners' code makes them.

    The edges are ``numpy.quantile(values, linspace(0, 1, n_edges))``. A value that equals no edge, or one,
    has one bin: the number of edges that are not above it. One that equals several may have any of theirs.
    A monotone transform of the values has the same bins, but for rounding where an edge meets a value.

    Returns how many edges lie below each value, and how many do not lie above it, which is its highest bin.
    With a uniform draw ``u`` a bin is ``ceil(highest - u * (highest - below))``.
    """
    edges = np.sort(np.quantile(values, np.linspace(0, 1, n_edges)))
    return np.searchsorted(edges, values, side="left"), np.searchsorted(edges, values, side="right")


def load(folder: Path, settings: Settings, seed: int = 0) -> ScGpt:
    """Load a release folder; see ``catalogue.implementation``."""
    release = read_release(folder, trusted_sha256=settings.take("trust_sha256", ""))
    config, tensors, weights = release.config, release.tensors, release.weights
    module = load_network(ScGptEncoder, config, tensors, weights, IGNORED, stored_as, ARGUMENTS)
    return ScGpt(module, release, folder, settings, seed)
