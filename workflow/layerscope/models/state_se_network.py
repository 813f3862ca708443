"""The encoder of State Embedding (Adduri et al. 2025): post-norm blocks over genes and soft bins of counts.

Parameters carry the names of the owners' release, but for attention's, which are PyTorch's; the table of
proteins, which is data, is a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import Sizes, Transformer, draw_attention_as_linear, encoder_blocks
from layerscope.models.token_table import TokenTable
from layerscope.models.transformer import by_ids, by_rows

SMALLEST_NORM = 1e-12  # of the owners' code, as is the slope of LeakyReLU; no file holds them
SLOPE = 0.01


@dataclass(frozen=True, kw_only=True)
class StateConfig(Sizes):
    """Sizes of one encoder, read from a release folder."""

    n_tokens: int  # genes, by their proteins
    token_width: int
    n_bins: int  # soft bins of a count
    bin_width: int  # width inside of the encoder of counts
    output_size: int  # of the decoder
    n_dataset: int  # numbers of the official embedding that tell the data set

    @property
    def official_size(self) -> int:
        return self.output_size + self.n_dataset


class SkipBlock(nn.Module):
    """A feed-forward layer around which its input goes, and a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(width, 2 * width)
        self.dense = nn.Linear(2 * width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(n, width)`` to the same shape."""
        out: Tensor = self.layer_norm(x + self.dense(torch.relu(self.intermediate_dense(x))))
        return out


class StateEncoder(Transformer):
    """What of State Embedding makes representations.

    Batches have the token columns ``ids`` (genes, then :attr:`cell_id` and :attr:`dataset_id`) and
    ``values``.
    """

    stack_name = "transformer_encoder.layers"

    def __init__(self, config: StateConfig) -> None:
        super().__init__()
        self.config = config
        self.cell_id, self.dataset_id = config.n_tokens, config.n_tokens + 1
        self.proteins = TokenTable(config.n_tokens, config.token_width)
        self.cls_token = nn.Parameter(torch.empty(1, config.token_width))
        self.dataset_token = nn.Parameter(torch.empty(1, config.token_width))
        width = config.hidden_size
        self.encoder = nn.Sequential(nn.Linear(config.token_width, width), nn.LayerNorm(width), nn.SiLU())
        self.count_encoder = nn.Sequential(
            nn.Linear(1, config.bin_width), nn.LeakyReLU(SLOPE), nn.Linear(config.bin_width, config.n_bins)
        )
        self.bin_encoder = nn.Embedding(config.n_bins, width)
        self.transformer_encoder = nn.ModuleDict({"layers": encoder_blocks(config, "gelu")})
        self.decoder = nn.Sequential(SkipBlock(width), nn.Linear(width, config.output_size))
        self.dataset_embedder = nn.Linear(config.output_size, config.n_dataset)

    def embed(self, batch: TokenBatch) -> Tensor:
        tokens = by_ids(self._tokens, batch)
        return by_rows(self._with_counts, tokens, batch.tokens["ids"], batch.tokens["values"])

    def _tokens(self, ids: Tensor) -> Tensor:
        """Tokens' part of the input; the vectors of the special ones are not of unit length."""
        vectors = self.proteins.vectors(ids.clamp(max=self.config.n_tokens - 1))
        vectors = functional.normalize(vectors, dim=1, eps=SMALLEST_NORM)
        for token, vector in ((self.cell_id, self.cls_token), (self.dataset_id, self.dataset_token)):
            vectors = torch.where((ids == token)[:, None], vector, vectors)
        scaled: Tensor = self.encoder(vectors) * self.config.hidden_size**0.5
        return scaled

    def _with_counts(self, tokens: Tensor, ids: Tensor, values: Tensor) -> Tensor:
        """Tokens with the mean of the bins' vectors, weighted for the count; the data set has none."""
        weights = torch.softmax(self.count_encoder(values[:, None]), dim=1)
        counts = weights @ self.bin_encoder.weight
        return tokens + torch.where((ids == self.dataset_id)[:, None], 0, counts)

    def draw_as_owners(self, draw: torch.Generator) -> None:
        """Attention is one linear layer, drawn as any other."""
        draw_attention_as_linear(self, draw)
        for token in (self.cls_token, self.dataset_token):
            token.normal_(generator=draw)
