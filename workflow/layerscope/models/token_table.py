"""Vectors of tokens that a model takes as data, not as weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from layerscope.models.transformer import by_rows


class TokenTable(nn.Module):
    """A large table of vectors, one per token, such as the embeddings of genes' proteins.

    The table stays where it was read, in a memory map on the host, in the precision of the file: only the
    rows of tokens that occur are fetched from it, whatever device the network is on. It is not trained.
    ``rows`` says which row is a token's: its own, unless the rows have been dealt out anew.
    """

    def __init__(self, n_tokens: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_tokens, width), requires_grad=False)
        self.rows = torch.arange(n_tokens, device="cpu")

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Stay on the host, in the precision of the file."""
        return self

    def forward(self, ids: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
        """What the row-wise ``project`` makes of the vectors of tokens; each distinct one is done once."""
        distinct, place = torch.unique(ids, return_inverse=True)

        def projected(tokens: Tensor) -> Tensor:
            return project(self.weight[self.rows[tokens.cpu()]].float().to(ids.device))

        return by_rows(projected, distinct)[place]
