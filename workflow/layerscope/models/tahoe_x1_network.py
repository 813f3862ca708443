"""The encoder of Tahoe-X1 (Gandhi et al. 2025): a pre-norm transformer over a cell token and expressed genes.

Parameters carry the names of the owners' release, without its leading ``model.``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerscope.models.activations import activation_of
from layerscope.models.base import TokenBatch
from layerscope.models.encoder import AttentionBlock, JoinedProjections, Sizes, Transformer
from layerscope.models.gene_value import GeneEncoder, ValueEncoder
from layerscope.models.transformer import Scratch, by_rows

DRUG_POSITION = 1


@dataclass(frozen=True, kw_only=True)
class ChemistryConfig:
    """Sizes of the encoder of drugs: how many it knows, bits of a fingerprint, activation."""

    n_drugs: int
    bits: int
    activation: str = "gelu"


@dataclass(frozen=True, kw_only=True)
class TahoeX1Config(Sizes):
    """Sizes and constants of one encoder, all read from a release folder."""

    vocabulary_size: int  # rows of the gene table, special tokens included
    activation: str = "relu"
    value_activation: str = "relu"  # of the value encoder
    max_value: float = 512.0  # values are cut here before they are encoded
    norm_eps: float = 1e-5  # of the blocks' norms and of the norm after them
    clip_qkv: float | None = None  # queries, keys and values are cut here
    softmax_scale: float | None = None  # of attention's scores; None for 1 / sqrt(head size)
    gene_norm: bool = True  # whether the gene encoder ends in a norm
    value_norm: bool = True  # whether the value encoder does
    chemistry: ChemistryConfig | None = None  # where the checkpoint has an encoder of drugs


class DrugEncoder(nn.Module):
    """Encoder of a drug's fingerprint, which a table holds."""

    def __init__(self, config: ChemistryConfig, hidden_size: int) -> None:
        super().__init__()
        self.activation = activation_of(config.activation)
        self.embedding = nn.Embedding(config.n_drugs, config.bits)
        self.fc = nn.Linear(config.bits, hidden_size)
        self.proj = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        nn.init.zeros_(self.embedding.weight)  # until it is loaded

    def forward(self, drugs: Tensor) -> Tensor:
        """Drug indices ``(n,)`` to ``(n, hidden_size)``."""
        hidden = self.activation(self.fc(self.embedding(drugs)))
        out: Tensor = self.norm(self.proj(hidden))
        return out


class Block(AttentionBlock):
    """Pre-norm transformer block."""

    norm_first = True

    def __init__(self, config: TahoeX1Config, scratch: Scratch) -> None:
        super().__init__()
        self.heads, self.scratch, self.clip = config.heads, scratch, config.clip_qkv
        usual = (config.hidden_size // config.heads) ** -0.5
        self.query_scale = (config.softmax_scale or usual) / usual
        self.activation = activation_of(config.activation)
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.self_attn = JoinedProjections(config.hidden_size)
        self.up_proj = nn.Linear(config.hidden_size, config.feed_forward)
        self.down_proj = nn.Linear(config.feed_forward, config.hidden_size)

    @property
    def feed_forward(self) -> tuple[nn.Linear, nn.Linear]:
        return self.up_proj, self.down_proj

    def _qkv(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        qkv = super()._qkv(x, out)
        if self.clip:
            qkv.clamp_(-self.clip, self.clip)
        if self.query_scale != 1:
            qkv[:, : x.shape[1]] *= self.query_scale
        return qkv


class TahoeX1Encoder(Transformer):
    """What of Tahoe-X1 makes representations.

    Batches have the token columns ``ids`` and ``values``. With the cell column ``drug`` the second token of
    each cell is overwritten by the encoding of that drug.
    """

    stack_name = "transformer_encoder.layers"

    def __init__(self, config: TahoeX1Config) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.gene_encoder = GeneEncoder(config.vocabulary_size, width, config.gene_norm)
        self.expression_encoder = ValueEncoder(
            width, config.max_value, config.value_activation, config.value_norm
        )
        if config.chemistry is not None:
            self.chem_encoder = DrugEncoder(config.chemistry, config.hidden_size)
        scratch = Scratch()
        blocks = nn.ModuleList(Block(config, scratch) for _ in range(config.n_layers))
        norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.transformer_encoder = nn.ModuleDict({"layers": blocks, "norm": norm})

    def embed(self, batch: TokenBatch) -> Tensor:
        x = by_rows(self._tokens, batch.tokens["ids"], batch.tokens["values"])
        if "drug" not in batch.cells:
            return x
        drugs: Tensor = self.chem_encoder(batch.cells["drug"])
        out: Tensor = x.index_copy(0, batch.starts + DRUG_POSITION, drugs)
        return out

    def _tokens(self, ids: Tensor, values: Tensor) -> Tensor:
        genes: Tensor = self.gene_encoder(ids)
        expression: Tensor = self.expression_encoder(values)
        return genes + expression

    def final(self, hidden: Tensor) -> Tensor:
        return by_rows(self.transformer_encoder["norm"], hidden)

    def initialise(self, seed: int) -> None:
        """Draw all weights anew, as llm-foundry's default (``kaiming_normal_``) does.

        Matrices are normal with variance ``2 / fan_in``, those that write to the residual stream divided by
        ``sqrt(2 * n_layers)``; biases are zero, embeddings standard normal. The drugs' fingerprints are data,
        not weights, and stay.
        """
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, module in self.named_modules():
                if isinstance(module, nn.Linear):
                    to_residual = name.endswith(("self_attn.out_proj", "down_proj"))
                    scale = (2 * self.config.n_layers) ** -0.5 if to_residual else 1.0
                    module.weight.normal_(0.0, scale * (2 / module.in_features) ** 0.5, generator=draw)
                    module.bias.zero_()
                elif isinstance(module, nn.Embedding) and not name.startswith("chem_encoder"):
                    module.weight.normal_(generator=draw)
                elif isinstance(module, nn.LayerNorm):
                    module.weight.fill_(1.0)
                    module.bias.zero_()
