"""Vectors of tokens and of positions that a model takes as data, not as weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from layerscope.models.base import TokenBatch
from layerscope.models.transformer import by_ids


class TokenTable(nn.Module):
    """A large table of vectors, one per token, such as the embeddings of genes' proteins.

    On a CPU the table stays where it was read, in a memory map: only the rows of tokens that occur are
    fetched from it. On a GPU it is in the GPU's memory, because to fetch the rows of each batch takes longer
    than the batch. It is not trained. ``rows`` says which row is a token's: its own, unless the rows have
    been dealt out anew.
    """

    rows: Tensor

    def __init__(self, n_tokens: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_tokens, width), requires_grad=False)
        self.register_buffer("rows", torch.arange(n_tokens, device="cpu"), persistent=False)

    def forward(self, batch: TokenBatch, project: Callable[[Tensor], Tensor]) -> Tensor:
        """What the row-wise ``project`` makes of the vectors of tokens; each distinct one is done once."""
        return by_ids(lambda tokens: project(self.vectors(tokens)), batch)

    def vectors(self, tokens: Tensor) -> Tensor:
        """The vectors of tokens, ``(n, width)``, float32."""
        return self.weight.index_select(0, self.rows.index_select(0, tokens)).float()


class Positions(nn.Module):
    """A fixed table of positions, in the shape that a checkpoint has: one of the first two sizes is 1."""

    pe: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(shape))

    def forward(self, positions: Tensor) -> Tensor:
        """Their vectors, ``(n, width)``."""
        return functional.embedding(positions, self.pe.flatten(0, 1))
