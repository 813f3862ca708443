"""Vectors of tokens that come with a model as data, and what a network makes of each, worked out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from layerscope.models.transformer import by_enough_rows

AT_ONCE = 4096


class TokenTable(nn.Module):
    """A large table of vectors, one per token, such as the embeddings of genes' proteins.

    The table stays where it was read, in a memory map on the host: only the rows of tokens that occur are
    fetched from it, whatever device the network is on. What the network makes of a token before it knows of
    the cell is kept, so that it is worked out once per token and run.

    Parameters
    ----------
    n_tokens, width
        Shape of the table.

    Attributes
    ----------
    weight
        The table. Not trained.
    rows
        Which row is a token's, int64 ``(n_tokens,)``; its own, unless the rows have been dealt out anew.
    """

    def __init__(self, n_tokens: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_tokens, width), requires_grad=False)
        self.rows = torch.arange(n_tokens, device="cpu")
        self._known = torch.zeros(n_tokens, dtype=torch.bool, device="cpu")
        self._made: Tensor | None = None

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Stay on the host, in the precision of the file."""
        return self

    def forget(self) -> None:
        """Drop what was worked out, as the network has changed."""
        self._made = None
        self._known[:] = False

    def forward(self, ids: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``project`` makes of the vectors of tokens.

        Parameters
        ----------
        ids
            Tokens, ``(n,)``.
        project
            Row-wise: float32 vectors on the device of ``ids`` in, ``(n, any)`` out; always the same one. With
            gradients nothing is kept.
        """
        rows = self.rows[ids.cpu()]
        if torch.is_grad_enabled():
            return project(self._vectors(rows, ids.device))
        if self._made is not None and self._made.device != ids.device:
            self.forget()
        occurring = torch.unique(rows)
        new = occurring[~self._known[occurring]]
        for start in range(0, len(new), AT_ONCE):
            self._keep(new[start : start + AT_ONCE], ids.device, project)
        made = cast(Tensor, self._made)
        return made.index_select(0, rows.to(ids.device))

    def _keep(self, rows: Tensor, device: torch.device, project: Callable[[Tensor], Tensor]) -> None:
        made = by_enough_rows(project, self._vectors(rows, device))
        if self._made is None:
            with torch.inference_mode(False):
                self._made = torch.empty((len(self.rows), made.shape[1]), device=device)
        self._made[rows.to(device)] = made
        self._known[rows] = True

    def _vectors(self, rows: Tensor, device: torch.device) -> Tensor:
        return self.weight[rows].float().to(device)
