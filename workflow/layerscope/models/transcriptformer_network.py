"""The encoder of TranscriptFormer (Pearce et al. 2025): causal blocks over an assay and a cell's genes.

Parameters carry the names of the owners' release, but that queries, keys and values are one matrix
(:func:`stored_as` says of which it is made); the table of proteins is data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from layerscope.models.activations import activation_of
from layerscope.models.base import TokenBatch
from layerscope.models.capped_attention import Keys, capped_attention
from layerscope.models.encoder import AttentionBlock, JoinedProjections, Sizes, Transformer
from layerscope.models.token_table import TokenTable
from layerscope.models.transformer import Scratch, by_rows, linear, plus, reusable

IN_PROJECTION, OUT_PROJECTION = ".self_attn.Wqkv.", ".self_attn.out_proj."


@dataclass(frozen=True, kw_only=True)
class TranscriptFormerConfig(Sizes):
    """Sizes and constants of one encoder, all read from a release folder."""

    n_tokens: int  # rows of the table of genes, special tokens included
    token_width: int
    n_assays: int  # rows of the table of assays; 0 where a sentence has no assay
    assay_column: str  # the name that the release has for it
    activation: str = "gelu"
    attention_bias: bool = False  # whether its linear layers have biases
    feed_forward_bias: bool = False
    softcap: float = 10.0  # cap on attention's scores; none if zero or below
    log_counts_eps: float = 1e-6  # added to a count before its logarithm is added to the scores


def stored_as(name: str) -> list[str]:
    """Names in a release of the parts, stacked, that make a parameter of this network."""
    if IN_PROJECTION in name:
        return [name.replace(IN_PROJECTION, f".self_attn.linears.{i}.") for i in range(3)]
    return [name.replace(OUT_PROJECTION, ".self_attn.linears.3.")]


class GeneEmbeddings(nn.Module):
    """A table of proteins, and what makes genes' tokens of them."""

    def __init__(self, config: TranscriptFormerConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.embedding = TokenTable(config.n_tokens, config.token_width)
        layers = (nn.Linear(config.token_width, hidden), nn.ReLU(inplace=True), nn.LayerNorm(hidden))
        self.mlp = nn.ModuleDict({"layers": nn.Sequential(*layers, nn.Identity(), nn.Linear(hidden, hidden))})

    def forward(self, batch: TokenBatch) -> Tensor:
        """The tokens of a batch, ``(n_rows, hidden_size)``."""
        out: Tensor = self.embedding(batch, self.project)
        return out

    def project(self, vectors: Tensor) -> Tensor:
        """Rows of the table, ``(n, token_width)``, to ``(n, hidden_size)``."""
        first, activation, norm, _, last = cast(nn.Sequential, self.mlp["layers"])
        first, last = cast(nn.Linear, first), cast(nn.Linear, last)
        hidden = norm(activation(linear(vectors, first.weight, first.bias)))
        return linear(hidden, last.weight, last.bias)


class Block(AttentionBlock):
    """Transformer block whose residual stream is what its norms give, not what they are given."""

    norm_first = False

    def __init__(self, config: TranscriptFormerConfig, scratch: Scratch) -> None:
        super().__init__()
        hidden, bias = config.hidden_size, config.feed_forward_bias
        self.heads, self.softcap, self.scratch = config.heads, config.softcap, scratch
        self.activation = activation_of(config.activation)
        self.self_attn = JoinedProjections(hidden, config.attention_bias)
        self.linear1 = nn.Linear(hidden, config.feed_forward, bias=bias)
        self.linear2 = nn.Linear(config.feed_forward, hidden, bias=bias)
        self.norm1 = nn.LayerNorm(hidden)
        self.norm2 = nn.LayerNorm(hidden)

    def forward(self, x: Tensor, batch: TokenBatch, *context: Any) -> Tensor:
        return super().forward(by_rows(self._normed, x, out=x if reusable(x) else None), batch, *context)

    def _attention(self, qkv: Tensor, batch: TokenBatch, *context: Any) -> Tensor:
        (keys,) = context
        return capped_attention(qkv, self.heads, batch, keys, self.softcap, self.scratch)

    def _normed(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        normed: Tensor = self.norm1(x)
        return normed if out is None else out.copy_(normed)

    def _after_attention(self, y: Tensor, context: Tensor, out: Tensor | None = None) -> Tensor:
        rows, width = y.shape
        projection, dtype = self.self_attn.out_proj, self.linear1.weight.dtype
        wide = self.scratch.take("wide", rows, len(self.linear1.weight), y, dtype)
        narrow = self.scratch.take("narrow", rows, width, y, dtype)
        y = self.norm2(plus(y, linear(context, projection.weight, projection.bias, narrow)))
        hidden = self.activation(linear(y, self.linear1.weight, self.linear1.bias, wide))
        return plus(y, linear(hidden, self.linear2.weight, self.linear2.bias, narrow), out)


class TranscriptFormerEncoder(Transformer):
    """What of TranscriptFormer makes representations.

    Batches have the token columns ``ids`` and ``counts``. Where there are assays, the first token of each
    cell is overwritten by the one that the cell column ``assay`` says, which nothing attends to where
    ``assay_known`` is false.
    """

    stack_name = "transformer_encoder.encoder_layers"

    def __init__(self, config: TranscriptFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.gene_embeddings = GeneEmbeddings(config)
        assays = {config.assay_column: nn.Embedding(config.n_assays, config.hidden_size)}
        self.aux_embeddings = nn.ModuleDict(assays if config.n_assays else {})
        scratch = Scratch()
        blocks = nn.ModuleList(Block(config, scratch) for _ in range(config.n_layers))
        self.transformer_encoder = nn.ModuleDict({"encoder_layers": blocks})

    def embed(self, batch: TokenBatch) -> Tensor:
        genes: Tensor = self.gene_embeddings(batch)
        if not self.config.n_assays:
            return genes
        assays: Tensor = self.aux_embeddings[self.config.assay_column](batch.cells["assay"])
        return genes.index_copy(0, batch.starts, assays)

    def context(self, batch: TokenBatch) -> tuple[Keys]:
        """What counts and assays tell attention."""
        bias = torch.log1p(batch.tokens["counts"] + self.config.log_counts_eps)
        if not self.config.n_assays:
            return (Keys(bias, torch.zeros(batch.n_cells, dtype=torch.bool, device=batch.device)),)
        return (Keys(bias, closed=batch.cells["assay_known"].logical_not()),)
