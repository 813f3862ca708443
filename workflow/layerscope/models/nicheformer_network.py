"""The encoder of Nicheformer (Schaar et al.): post-norm blocks over context tokens and genes by rank.

Parameters carry the names of the owners' checkpoint; those of Hugging Face have a prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, encoder_blocks
from layerscope.models.transformer import by_rows

NORM_EPS = 1e-12  # of the owners' code, as is the row of padding; the checkpoint holds neither
PADDING_ROW = 1


@dataclass(frozen=True, kw_only=True)
class NicheformerConfig(Sizes):
    """Sizes of one encoder, all read from a release folder."""

    n_tokens: int  # rows of the table of tokens
    n_positions: int  # tokens of a sentence, filling included


class NicheformerEncoder(Transformer):
    """What of Nicheformer makes representations; batches have the token columns ``ids`` and ``positions``."""

    stack_name = "encoder.layers"

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(config.n_tokens, config.hidden_size)
        self.positional_embedding = nn.Embedding(config.n_positions, config.hidden_size)
        self.encoder = nn.ModuleDict({"layers": encoder_blocks(config, eps=NORM_EPS)})

    def embed(self, batch: TokenBatch) -> Tensor:
        return by_rows(self._tokens, batch.tokens["ids"], batch.tokens["positions"])

    def _tokens(self, ids: Tensor, positions: Tensor) -> Tensor:
        tokens: Tensor = self.embeddings(ids)
        places: Tensor = self.positional_embedding(positions)
        return tokens + places

    def draw_as_owners(self, draw: torch.Generator) -> None:
        """Linear layers by Xavier's rule."""
        self.embeddings.weight[PADDING_ROW] = 0
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_normal_(part.weight, generator=draw)
                part.bias.zero_()
