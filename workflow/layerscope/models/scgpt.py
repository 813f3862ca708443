"""scGPT: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, Integers, TokenBatch
from layerscope.models.binned import BinnedModel
from layerscope.models.scgpt_files import ARGUMENTS, IGNORED, Release, read_release, stored_as
from layerscope.models.scgpt_network import ScGptEncoder
from layerscope.models.settings import Settings
from layerscope.models.weights import load_network

BINNINGS = ("random", "highest")


class ScGpt(BinnedModel):
    """A scGPT checkpoint."""

    family = "scgpt"
    official_pooling = "after the last block: cell token, divided by its L2 norm"
    module: ScGptEncoder

    def __init__(
        self, module: ScGptEncoder, release: Release, folder: Path, settings: Settings, seed: int
    ) -> None:
        super().__init__(module, release, folder, module.config.hidden_size)
        self.seed, self.cell_value, self.n_edges = seed, release.pad_value, release.n_bins - 1
        self.binning = settings.take("binning", BINNINGS[0], BINNINGS)
        self.max_length = settings.take("max_length", release.max_length)
        if self.max_length < 2:
            raise ConfigError(
                f"{folder / ARGUMENTS}, --set: max_length={self.max_length}; the cell token and a gene need 2"
            )
        self.settings = settings.resolved(without=("trust_sha256",))

    def _cell(self, block: CellBlock, cell: int, room: int) -> tuple[Integers, npt.NDArray[np.float32]]:
        genes, raw = block.genes[block.entries(cell)], block.values[block.entries(cell)]
        draw = cell_generator(self.seed, block.cell_ids[cell])
        below, highest = possible_bins(raw.astype(np.float32), self.n_edges)
        bins = highest.astype(np.float32)
        if self.binning == "random":
            bins = np.ceil(highest - draw.random(len(genes)) * (highest - below)).astype(np.float32)
        if len(genes) <= room:
            return genes, bins
        subset = np.sort(draw.choice(len(genes), room, replace=False))
        return genes[subset], bins[subset]

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
    module = load_network(ScGptEncoder, release, IGNORED, stored_as, ARGUMENTS)
    return ScGpt(module, release, folder, settings, seed)
