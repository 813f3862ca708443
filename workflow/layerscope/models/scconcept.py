"""scConcept: a cell's tokens by rank, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of, order_within, runs
from layerscope.models.scconcept_files import (
    CELL,
    CONFIG,
    STRATEGIES,
    Release,
    read_proteins,
    read_release,
)
from layerscope.models.scconcept_network import ScConceptEncoder
from layerscope.models.settings import Settings
from layerscope.models.transformer import usual_pooling
from layerscope.models.vocabulary import Vocabulary, refusals
from layerscope.models.weights import load_network

Values = npt.NDArray[np.floating]


class ScConcept(FoundationModel):
    """A scConcept checkpoint of any size, for the cells of one species."""

    family = "scconcept"
    poolings = ("cls", "mean_genes", "mean", "max")
    default_pooling = "cls"
    accepts = ("counts", "log_normalised")
    rank_based = True
    module: ScConceptEncoder

    def __init__(self, module: ScConceptEncoder, release: Release, settings: Settings, seed: int) -> None:
        vocabulary = Vocabulary(release.genes, str(release.source), aliases=release.names, ignore_case=True)
        super().__init__(module, vocabulary, release.weights, module.config.hidden_size)
        self.release, self.seed = release, seed
        self.special_tokens = release.special
        self.strategy = settings.take("gene_sampling_strategy", release.strategy, STRATEGIES)
        self.min_genes = settings.take("min_expressed_genes", 0, lowest=0)
        self.max_length = settings.take("max_length", release.max_genes + 1, lowest=2)
        if not 2 <= self.max_length <= module.config.n_positions:
            raise ConfigError(
                f"{release.weights.with_name(CONFIG)}, --set: max_length={self.max_length}; the cell token "
                f"and a gene need 2, and there are {module.config.n_positions} positions"
            )
        projected = "projected, and " if module.config.projected else ""
        self.official_pooling = f"after the last block: cell token, {projected}divided by its L2 norm"
        resolved = settings.resolved(without=("trust_sha256",))
        self.settings = {**resolved, "species": module.config.species}

    def tokenise(self, block: CellBlock) -> Sentences:
        """The cell token, then genes by falling value, equal ones by rising token; the last are cut off.

        A cell without a gene of the vocabulary is the cell token alone, as in the owners' code, unless
        ``min_expressed_genes`` says otherwise. Columns that name one gene are summed.
        """
        offsets, genes, values = self._candidates(block)
        ranked = genes[order_within(offsets, -values)]
        room = self.max_length - 1
        n_genes = np.minimum(np.diff(offsets), room)
        starts = offsets_of(1 + n_genes)
        ids = np.full(starts[-1], self.special_tokens[CELL], dtype=np.int64)
        ids[runs(starts[:-1] + 1, n_genes)] = self.release.tokens[ranked[runs(offsets[:-1], n_genes)]]
        return Sentences(
            offsets=starts,
            tokens={"ids": ids, "positions": runs(0 * n_genes, 1 + n_genes)},
            cells={},
            refused=refusals(block.n_genes, self.min_genes),
            shortened=block.n_genes > room,
        )

    def _candidates(self, block: CellBlock) -> tuple[Integers, Integers, Values]:
        """Genes, ascending, and values of each cell, of which those of highest rank are read."""
        values: Values = block.values
        if self.release.normalisation == "log1p":
            values = np.log1p(values.astype(np.float32))  # in this precision large counts can be ties
        if self.strategy == "top-nonzero":
            return block.offsets, block.genes, values
        chosen: list[tuple[Integers, Values]] = []
        of_file = np.flatnonzero(block.gene_columns >= 0)
        for cell, name in enumerate(block.cell_ids):
            genes, of_cell = block.genes[block.entries(cell)], values[block.entries(cell)]
            if not self.strategy.endswith("nonzero"):
                whole = np.zeros(len(block.gene_columns), dtype=values.dtype)
                whole[genes] = of_cell
                genes, of_cell = of_file, whole[of_file]
            if self.strategy.startswith("random"):
                drawn = cell_generator(self.seed, name).permutation(len(genes))
                kept = np.sort(drawn[: self.max_length - 1])
                genes, of_cell = genes[kept], of_cell[kept]
            chosen.append((genes, of_cell))
        offsets = offsets_of([len(genes) for genes, _ in chosen])
        genes_of_all, values_of_all = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
        return offsets, genes_of_all, values_of_all

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling, first=1)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return functional.normalize(self.module.projection(self.pool(hidden, batch, "cls")), dim=1)

    def widths(self, pooling: str) -> tuple[int, int]:
        return self.hidden_size, self.module.config.projected or self.hidden_size

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.gene_token_encoder.rows, self.release.tokens

    def initialise(self, seed: int) -> None:
        """Draw all weights anew; vectors of proteins are what they were before training."""
        super().initialise(seed)
        if self.module.config.pretrained_width:
            with torch.no_grad():
                self.module.gene_token_encoder.pretrained.weight.copy_(read_proteins(self.release))


def load(folder: Path, settings: Settings, seed: int = 0) -> ScConcept:
    """Load a model's folder of the release; see ``catalogue.implementation``."""
    release = read_release(
        folder,
        settings.take("species", ""),
        settings.organism,
        trusted_sha256=settings.take("trust_sha256", ""),
        use_learnable=settings.take("use_learnable_embs", True),
    )
    module = load_network(ScConceptEncoder, release, release.ignored)
    return ScConcept(module, release, settings, seed)
