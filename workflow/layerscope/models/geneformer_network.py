"""The encoder of Geneformer (Theodoris et al. 2023): BERT over a cell's genes in the order of their ranks.

Parameters have names of their own; :func:`layerscope.models.geneformer_files.stored_as` gives the owners'.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, encoder_blocks
from layerscope.models.transformer import by_rows


@dataclass(frozen=True, kw_only=True)
class GeneformerConfig(Sizes):
    """Sizes and constants of one encoder, all read from a release folder."""

    vocabulary_size: int  # rows of the gene table, special tokens included
    n_positions: int
    n_types: int = 2  # of tokens, of which the first type alone is used
    activation: str = "relu"
    norm_eps: float = 1e-12
    initial_scale: float = 0.02  # standard deviation of the weights before training
    pad_id: int = 0


class Embeddings(nn.Module):
    """Tables of genes, positions and types, and the norm of their sum."""

    def __init__(self, config: GeneformerConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocabulary_size, config.hidden_size)
        self.position = nn.Embedding(config.n_positions, config.hidden_size)
        self.token_type = nn.Embedding(config.n_types, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        """``(n,)`` and ``(n,)`` to ``(n, hidden_size)``."""
        out: Tensor = self.norm(self.word(ids) + self.token_type.weight[0] + self.position(positions))
        return out


class GeneformerEncoder(Transformer):
    """What of Geneformer makes representations; batches have the token columns ``ids``, ``positions``."""

    def __init__(self, config: GeneformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.blocks = encoder_blocks(config, config.activation, config.norm_eps)

    def embed(self, batch: TokenBatch) -> Tensor:
        return by_rows(self.embeddings, batch.tokens["ids"], batch.tokens["positions"])

    def initialise(self, seed: int) -> None:
        """Draw all weights anew as BERT does: normal of one scale, biases and padding zero, norms neutral."""
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if "norm" in name:
                    weight.fill_(1.0 if name.endswith("weight") else 0.0)
                elif weight.dim() > 1:
                    weight.normal_(0.0, self.config.initial_scale, generator=draw)
                else:
                    weight.zero_()
            self.embeddings.word.weight[self.config.pad_id].zero_()
