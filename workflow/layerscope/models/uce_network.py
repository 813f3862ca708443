"""The encoder of UCE (Rosen et al. 2023): post-norm blocks over genes drawn from a cell, by chromosome.

Parameters carry the names of the owners' release; the tables of proteins and of positions are data.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, encoder_blocks
from layerscope.models.token_table import Positions, TokenTable
from layerscope.models.transformer import linear

SMALLEST_NORM = 1e-12  # of the owners' code; the checkpoint does not hold it


@dataclass(frozen=True, kw_only=True)
class UCEConfig(Sizes):
    """Sizes of one encoder, read from the tensors of a checkpoint, but for ``heads``, which no file holds."""

    n_tokens: int  # four special ones, genes species by species, chromosomes
    token_width: int
    n_positions: int  # tokens of a sentence at most
    decoder: tuple[int, ...]  # widths of its layers, the official embedding's last


class UCEEncoder(Transformer):
    """What of UCE makes representations.

    Batches have the token columns ``ids`` and ``positions`` (counted from the cell's first token).
    """

    stack_name = "transformer_encoder.layers"

    def __init__(self, config: UCEConfig) -> None:
        super().__init__()
        self.config = config
        self.pe_embedding = TokenTable(config.n_tokens, config.token_width)
        self.encoder = nn.Sequential(
            nn.Linear(config.token_width, config.hidden_size), nn.GELU(), nn.LayerNorm(config.hidden_size)
        )
        self.pos_encoder = Positions(config.n_positions, 1, config.hidden_size)
        self.transformer_encoder = nn.ModuleDict({"layers": encoder_blocks(config)})
        widths = (config.hidden_size, *config.decoder)
        hidden = [
            nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.GELU()) for a, b in pairwise(widths[:-1])
        ]
        self.decoder = nn.Sequential(*hidden, nn.Linear(widths[-2], widths[-1]))

    def embed(self, batch: TokenBatch) -> Tensor:
        tokens: Tensor = self.pe_embedding(batch, self.project)
        positions: Tensor = self.pos_encoder(batch.tokens["positions"])
        return tokens + positions

    def project(self, vectors: Tensor) -> Tensor:
        """A token's part of the input, from its row of the table: ``(n, token_width)`` to hidden size."""
        to_hidden = cast(nn.Linear, self.encoder[0])
        unit = functional.normalize(vectors, dim=1, eps=SMALLEST_NORM)
        hidden: Tensor = self.encoder[2](self.encoder[1](linear(unit, to_hidden.weight, to_hidden.bias)))
        scaled: Tensor = hidden * self.config.hidden_size**0.5
        return scaled
