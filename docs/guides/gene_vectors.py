"""Gene vectors: an example of a family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from layerscope.models.base import CellBlock, FoundationModel, Integers, Network, Sentences, TokenBatch
from layerscope.models.settings import Settings
from layerscope.models.transformer import reduced
from layerscope.models.vocabulary import Vocabulary
from layerscope.models.weights import load_strictly, n_blocks, present, read_safetensors


class GeneBlocks(Network):
    """Its parameters are named as in the release, so that they load strictly."""

    def __init__(self, n_genes: int, width: int, n_layers: int) -> None:
        super().__init__()
        self.genes = nn.Embedding(n_genes, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(n_layers))

    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        x = self.genes(batch.tokens["ids"]) * batch.tokens["values"][:, None]
        yield 0, x
        for layer, block in enumerate(self.blocks, start=1):
            x = x + torch.relu(block(x.to(block.weight.dtype))).float()
            yield layer, x

    def initialise(self, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=self.genes.embedding_dim**-0.5, generator=draw)


class GeneVectors(FoundationModel):
    """A gene vector checkpoint."""

    family = "gene_vectors"
    poolings = ("mean", "max")
    default_pooling = "mean"
    official_pooling = "after the last block: mean over genes"
    accepts = ("counts",)
    module: GeneBlocks

    def __init__(self, module: GeneBlocks, vocabulary: Vocabulary, weights: Path, settings: Settings) -> None:
        super().__init__(module, vocabulary, weights, hidden_size=module.genes.embedding_dim)
        self.settings = settings.resolved()

    def tokenise(self, block: CellBlock) -> Sentences:
        """The expressed genes and the logarithm of their counts; a cell without any is refused."""
        return Sentences(
            offsets=block.offsets,
            tokens={"ids": block.genes, "values": np.log1p(block.values)},
            cells={},
            refused=["" if n else "expresses no gene of the vocabulary" for n in np.diff(block.offsets)],
            shortened=np.zeros(len(block.cell_ids), dtype=bool),
        )

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        return reduced(hidden, batch, pooling)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return reduced(hidden, batch, "mean")

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.genes.weight, np.arange(len(self.vocabulary.genes))


def load(folder: Path, settings: Settings, seed: int = 0) -> GeneVectors:
    """Load a release folder; every size comes from its files."""
    path, names = folder / "weights.safetensors", present(folder / "genes.txt", "the list of genes")
    vocabulary = Vocabulary(tuple(names.read_text(encoding="utf-8").split()), str(names))
    tensors = read_safetensors(path)
    width = tensors["genes.weight"].shape[1]
    module = GeneBlocks(len(vocabulary.genes), width, n_blocks(tensors, "blocks."))
    load_strictly(module, tensors, ignored=(), path=path)
    return GeneVectors(module, vocabulary, path, settings)
