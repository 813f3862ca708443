"""The encoder of scFoundation (Hao et al. 2024): a post-norm transformer over the expressed genes of a cell.

Parameters carry the names of the owners' release (without its leading ``model.``), so that a state dict goes
in and out as it is. Autograd works through every method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from layerscope.models.base import TokenBatch
from layerscope.models.post_norm import Block, draw_as_pytorch
from layerscope.models.transformer import Scratch, by_rows

LEAKY_SLOPE = 0.1  # of the owners' code; the checkpoint does not hold it


@dataclass(frozen=True, kw_only=True)
class ScFoundationConfig:
    """Sizes and constants of one encoder, all read from a checkpoint.

    Attributes
    ----------
    n_genes
        Genes of the vocabulary. Position ``n_genes`` is the resolution token T, ``n_genes + 1`` the
        total-count token S, ``n_genes + 2`` padding.
    hidden_size, n_layers, heads, feed_forward
        Width, blocks, attention heads, and width of the feed-forward layer.
    bins, bin_alpha
        Of the value embedding.
    mask_token_id, pad_token_id
        Values that stand for a masked or padded token in the owners' code; kept for the files, not used here.
    """

    n_genes: int
    hidden_size: int
    n_layers: int
    heads: int
    feed_forward: int
    bins: int = 100
    bin_alpha: float = 1.0
    mask_token_id: float = 102.0
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


class Encoder(nn.Module):
    """The blocks and the norm after them."""

    def __init__(self, config: ScFoundationConfig) -> None:
        super().__init__()
        scratch = Scratch()
        self.transformer_encoder = nn.ModuleList(
            Block(config.hidden_size, config.heads, config.feed_forward, scratch)
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.hidden_size)

    @property
    def blocks(self) -> list[Block]:
        """The blocks, first to last."""
        return cast(list[Block], list(self.transformer_encoder))


class ScFoundationEncoder(nn.Module):
    """Everything of scFoundation that makes representations.

    Batches have the token columns ``ids`` (position ids) and ``values``, and may have ``masked`` (bool): a
    masked token's value is replaced by the mask embedding, which is how the model is pretrained.
    """

    def __init__(self, config: ScFoundationConfig) -> None:
        super().__init__()
        self.config = config
        self.token_emb = ValueEmbedding(config)
        self.pos_emb = nn.Embedding(config.n_genes + 3, config.hidden_size)
        self.encoder = Encoder(config)

    def embed(self, batch: TokenBatch) -> Tensor:
        """What enters the first block: value embedding plus position embedding, ``(n_rows, hidden_size)``."""
        x = by_rows(self.token_emb, batch.tokens["values"])
        masked = batch.tokens.get("masked")
        if masked is not None:
            x = torch.where(masked[:, None], self.token_emb.emb_mask.weight, x)
        positions: Tensor = self.pos_emb(batch.tokens["ids"])
        return x + positions

    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        """Yield ``(0, input of the first block)``, then ``(i, output of block i)`` for ``i`` from 1."""
        x = self.embed(batch)
        yield 0, x
        for layer, block in enumerate(self.encoder.blocks, start=1):
            x = block(x, batch)
            yield layer, x

    def final(self, hidden: Tensor) -> Tensor:
        """The norm after the last block."""
        return by_rows(self.encoder.norm, hidden)

    def forward(self, batch: TokenBatch) -> Tensor:
        """The last block's output after the final norm, ``(n_rows, hidden_size)``."""
        x = self.embed(batch)
        for block in self.encoder.blocks:
            x = block(x, batch)
        return self.final(x)

    def set_precision(self, dtype: torch.dtype) -> None:
        """Hold the matrices of the blocks in ``dtype``; all else stays float32."""
        for block in self.encoder.blocks:
            block.set_precision(dtype)

    def initialise(self, seed: int) -> None:
        """Draw all weights anew with PyTorch's defaults, which the owners' builder leaves in place."""
        draw_as_pytorch(self, torch.Generator().manual_seed(seed))


def fresh(config: ScFoundationConfig, seed: int) -> ScFoundationEncoder:
    """Build an encoder with newly drawn float32 weights on the CPU; the same seed gives the same weights."""
    encoder = ScFoundationEncoder(config)
    encoder.initialise(seed)
    return encoder
