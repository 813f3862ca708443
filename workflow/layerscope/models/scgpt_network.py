"""The encoder of scGPT (Cui et al. 2024): a post-norm transformer over a cell token and expressed genes.

Parameters carry the names of the owners' release, but for attention's, which are PyTorch's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, draw_attention_as_linear, encoder_blocks
from layerscope.models.gene_value import GeneEncoder, ValueEncoder
from layerscope.models.transformer import by_rows

MAX_VALUE = 512.0  # of the owners' code, as is the scale of gene embeddings; the checkpoint holds neither
GENE_SCALE = 0.1


@dataclass(frozen=True, kw_only=True)
class ScGptConfig(Sizes):
    """Sizes of one encoder, all read from a release folder."""

    vocabulary_size: int  # rows of the gene table, special tokens included


class ScGptEncoder(Transformer):
    """What of scGPT makes representations; batches have the token columns ``ids``, ``values``."""

    stack_name = "transformer_encoder.layers"

    def __init__(self, config: ScGptConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = GeneEncoder(config.vocabulary_size, config.hidden_size)
        self.value_encoder = ValueEncoder(config.hidden_size, MAX_VALUE, "relu")
        self.transformer_encoder = nn.ModuleDict({"layers": encoder_blocks(config)})

    def embed(self, batch: TokenBatch) -> Tensor:
        return by_rows(self._tokens, batch.tokens["ids"], batch.tokens["values"])

    def _tokens(self, ids: Tensor, values: Tensor) -> Tensor:
        genes: Tensor = self.encoder(ids)
        expression: Tensor = self.value_encoder(values)
        return genes + expression

    def draw_as_owners(self, draw: torch.Generator) -> None:
        """Gene embeddings small and uniform; attention is one linear layer, drawn as any other."""
        self.encoder.embedding.weight.uniform_(-GENE_SCALE, GENE_SCALE, generator=draw)
        draw_attention_as_linear(self, draw)
