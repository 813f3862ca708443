"""The encoder of scConcept (Bahrami et al. 2025): blocks over a cell token and a cell's genes by their rank.

Parameters carry the names of the owners' release; the table of positions is data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from layerscope.models.base import TokenBatch
from layerscope.models.encoder import JoinedProjections, Sizes, Transformer, encoder_blocks
from layerscope.models.token_table import Positions
from layerscope.models.transformer import by_ids


@dataclass(frozen=True, kw_only=True)
class ScConceptConfig(Sizes):
    """Sizes and constants of one encoder for the genes of one species, all read from a release folder."""

    species: str
    n_tokens: int  # rows of the species' table of genes, special tokens included
    gene_width: int
    pretrained_width: int = 0  # of the vectors of proteins; 0 where the checkpoint has none
    n_positions: int = 5000  # tokens of a sentence at most
    projected: int = 0  # width of the official embedding; 0 where it is not projected
    norm_first: bool = False  # whether norms stand before attention and feed-forward layers, or after them
    activation: str = "relu"
    use_learnable: bool = True  # whether a gene's own vector is added to that of its protein


class GeneTokenEncoder(nn.Module):
    """A gene's part of the input, from its row of the tables. ``rows`` says which row is a token's."""

    rows: Tensor

    def __init__(self, config: ScConceptConfig) -> None:
        super().__init__()
        width, self.use_learnable = config.gene_width, config.use_learnable
        self.species = config.species
        self.learnable_embs = nn.ModuleDict({config.species: nn.Embedding(config.n_tokens, width)})
        self.pretrained_embs = nn.ModuleDict()
        if config.pretrained_width:
            self.pretrained_embs[config.species] = nn.Embedding(config.n_tokens, config.pretrained_width)
            self.adapter1 = nn.Linear(config.pretrained_width, width)
        self.adapter2 = nn.Linear(width, config.hidden_size)
        self.enc_norm = nn.LayerNorm(config.hidden_size)
        self.register_buffer("rows", torch.arange(config.n_tokens, device="cpu"), persistent=False)

    def forward(self, batch: TokenBatch) -> Tensor:
        """``(n_rows, hidden_size)``; each distinct token is worked out once."""
        return by_ids(self._encoded, batch)

    @property
    def learnable(self) -> nn.Embedding:
        """Genes' own vectors."""
        return cast(nn.Embedding, self.learnable_embs[self.species])

    @property
    def pretrained(self) -> nn.Embedding:
        """The vectors of genes' proteins, where there are any."""
        return cast(nn.Embedding, self.pretrained_embs[self.species])

    def _encoded(self, ids: Tensor) -> Tensor:
        rows = self.rows.index_select(0, ids)
        if not self.pretrained_embs:
            genes: Tensor = self.learnable(rows)
        else:
            genes = self.adapter1(self.pretrained(rows))
            genes = genes + self.learnable(rows) if self.use_learnable else genes
        encoded: Tensor = self.enc_norm(self.adapter2(genes))
        return encoded


class ScConceptEncoder(Transformer):
    """What of scConcept makes representations of the cells of one species.

    Batches have the token columns ``ids`` and ``positions`` (counted from the cell's first token, which is
    the cell token).
    """

    stack_name = "transformer_encoder.layers"
    gene_token_encoder: GeneTokenEncoder
    projection: nn.Linear | nn.Identity

    def __init__(self, config: ScConceptConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_embedding = nn.Parameter(torch.zeros(config.hidden_size))
        self.gene_token_encoder = GeneTokenEncoder(config)
        self.positional_encoder = Positions(1, config.n_positions, config.hidden_size)
        blocks = encoder_blocks(
            config, config.activation, norm_first=config.norm_first, attention=JoinedProjections
        )
        self.transformer_encoder = nn.ModuleDict({"layers": blocks})
        self.projection = (
            nn.Linear(config.hidden_size, config.projected, bias=False) if config.projected else nn.Identity()
        )

    def embed(self, batch: TokenBatch) -> Tensor:
        cell_tokens = self.cls_embedding.expand(batch.n_cells, -1)
        tokens: Tensor = self.gene_token_encoder(batch).index_copy(0, batch.starts, cell_tokens)
        positions: Tensor = self.positional_encoder(batch.tokens["positions"])
        return tokens + positions

    def draw_as_owners(self, draw: torch.Generator) -> None:
        """The cell token is zero, and so are genes' own vectors where those of proteins are put back."""
        self.cls_embedding.zero_()
        if self.config.pretrained_width:
            self.gene_token_encoder.learnable.weight.zero_()
