"""The encoder of scFoundation (Hao et al. 2024): a post-norm transformer over the expressed genes of a cell.

Parameters carry the names of the owners' release, without its leading ``model.``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, encoder_blocks
from layerscope.models.transformer import by_rows

LEAKY_SLOPE = 0.1  # of the owners' code; the checkpoint does not hold it


@dataclass(frozen=True, kw_only=True)
class ScFoundationConfig(Sizes):
    """Sizes and constants of one encoder, all read from a checkpoint.

    After the genes come the positions of the resolution token T, the total-count token S, and padding.
    """

    n_genes: int
    bins: int = 100  # of the value embedding
    bin_alpha: float = 1.0
    mask_token_id: float = 102.0  # this and the next are for files alone
    pad_token_id: float = 103.0

    @property
    def resolution_id(self) -> int:
        return self.n_genes

    @property
    def total_count_id(self) -> int:
        return self.n_genes + 1


class ValueEmbedding(nn.Module):
    """Embedding of a scalar as a soft mixture of learned bins ("auto-discretisation")."""

    def __init__(self, config: ScFoundationConfig) -> None:
        super().__init__()
        self.alpha = config.bin_alpha
        self.mlp = nn.Linear(1, config.bins)
        self.mlp2 = nn.Linear(config.bins, config.bins)
        self.emb = nn.Embedding(config.bins, config.hidden_size)
        self.emb_mask = nn.Embedding(1, config.hidden_size)
        self.emb_pad = nn.Embedding(1, config.hidden_size)

    def forward(self, values: Tensor) -> Tensor:
        """``(n,)`` to ``(n, hidden_size)``."""
        bins = functional.leaky_relu(self.mlp(values[:, None]), LEAKY_SLOPE)
        weights = torch.softmax(self.alpha * bins + self.mlp2(bins), dim=-1)
        return weights @ self.emb.weight


class ScFoundationEncoder(Transformer):
    """What of scFoundation makes representations.

    Batches have the token columns ``ids`` (position ids) and ``values``, and may have ``masked`` (bool): a
    masked token's value is replaced by the mask embedding, which is how the model is pretrained.
    """

    stack_name = "encoder.transformer_encoder"

    def __init__(self, config: ScFoundationConfig) -> None:
        super().__init__()
        self.config = config
        self.token_emb = ValueEmbedding(config)
        self.pos_emb = nn.Embedding(config.n_genes + 3, config.hidden_size)
        norm = nn.LayerNorm(config.hidden_size)
        self.encoder = nn.ModuleDict({"transformer_encoder": encoder_blocks(config), "norm": norm})

    def embed(self, batch: TokenBatch) -> Tensor:
        x = by_rows(self.token_emb, batch.tokens["values"])
        masked = batch.tokens.get("masked")
        if masked is not None:
            x = torch.where(masked[:, None], self.token_emb.emb_mask.weight, x)
        positions: Tensor = self.pos_emb(batch.tokens["ids"])
        return x + positions

    def final(self, hidden: Tensor) -> Tensor:
        return by_rows(self.encoder["norm"], hidden)
