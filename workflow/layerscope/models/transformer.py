"""What packed transformer encoders share: row-wise work in blocks of fixed size, attention cell by cell.

On a CPU the rows go through matrix products in blocks of :data:`ROWS`, for two reasons. The intermediate
values of a block stay in cache; and a BLAS library picks its kernel, and with it the order of its sums, by
the shape of the product, so that one fixed shape gives a cell the same bits whatever else is in its batch. In
training, and on a GPU, the whole matrix goes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from layerscope.models.base import TokenBatch

ROWS = 512
DEPTH = 2048
HALF = (torch.float16, torch.bfloat16)


def by_rows(function: Callable[..., Tensor], *matrices: Tensor) -> Tensor:
    """Apply a row-wise ``function`` to matrices of equally many rows, in blocks of :data:`ROWS`.

    Parameters
    ----------
    function
        Takes as many matrices ``[n, ...]`` and returns one ``[n, width]``, each row from the same rows alone.
    matrices
        Each of ``n_rows`` rows.

    Returns
    -------
    What ``function(*matrices)`` gives, shape ``(n_rows, width)``.
    """
    n_rows = len(matrices[0])
    if torch.is_grad_enabled() or matrices[0].device.type != "cpu" or n_rows <= ROWS:
        return function(*matrices)
    head = function(*(matrix[:ROWS] for matrix in matrices))
    out = head.new_empty((n_rows, *head.shape[1:]))
    out[:ROWS] = head
    for start in range(ROWS, n_rows, ROWS):
        out[start : start + ROWS] = function(*(matrix[start : start + ROWS] for matrix in matrices))
    return out


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias`` in the precision of the weight.

    On a CPU long sums are cut at multiples of :data:`DEPTH`, since a BLAS library would otherwise share one
    sum among its threads, and their number would change its bits.
    """
    x = x.to(weight.dtype)
    depth = weight.shape[1]
    if torch.is_grad_enabled() or x.device.type != "cpu" or depth <= DEPTH:
        return functional.linear(x, weight, bias)
    out = functional.linear(x[:, :DEPTH], weight[:, :DEPTH], bias)
    for start in range(DEPTH, depth, DEPTH):
        out.addmm_(x[:, start : start + DEPTH], weight[:, start : start + DEPTH].t())
    return out


def attention(qkv: Tensor, heads: int, batch: TokenBatch) -> Tensor:
    """Full attention among the tokens of each cell, scaled by ``1 / sqrt(head size)``.

    Parameters
    ----------
    qkv
        Queries, keys and values of the packed tokens, ``(n_rows, 3 * hidden)``: three blocks of columns, the
        heads of each contiguous.
    heads
        Number of heads.
    batch
        Says which rows are a cell's. Neighbouring cells of one length share a kernel call; no mask is needed.

    Returns
    -------
    Context, ``(n_rows, hidden)``, zero in rows that belong to no cell.
    """
    split = qkv.view(len(qkv), 3, heads, -1)
    if qkv.is_cuda and qkv.dtype in HALF:
        return _varlen(split, batch)
    parts = []
    for span in batch.spans:
        cells = split[span.rows].view(span.n_cells, span.length, *split.shape[1:])
        query, key, value = (part.transpose(1, 2) for part in cells.unbind(2))
        context = functional.scaled_dot_product_attention(query, key, value)
        parts.append(context.transpose(1, 2).reshape(span.n_cells * span.length, -1))
    rest = len(qkv) - int(batch.offsets[-1])
    if rest:
        parts.append(qkv.new_zeros((rest, qkv.shape[1] // 3)))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _varlen(split: Tensor, batch: TokenBatch) -> Tensor:
    """Attention of all cells of a batch in one call of PyTorch's variable-length flash kernel."""
    from torch.nn.attention.varlen import varlen_attn  # two seconds, and needed on a GPU alone

    n_tokens = int(batch.offsets[-1])
    query, key, value = (part.contiguous() for part in split[:n_tokens].unbind(1))
    lengths, longest = batch.cumulative_lengths, batch.longest
    context = cast(Tensor, varlen_attn(query, key, value, lengths, lengths, longest, longest))
    return functional.pad(context.flatten(1), (0, 0, 0, len(split) - n_tokens))


def gathered(hidden: Tensor, batch: TokenBatch, position: Tensor) -> Tensor:
    """The hidden state of one token per cell, NaN where ``position`` (counted from the cell's start) is -1.

    Returns
    -------
    float32, ``(n_cells, hidden)``.
    """
    rows = batch.starts + position.clamp(min=0)
    found = hidden.index_select(0, rows).float()
    return torch.where((position >= 0)[:, None], found, torch.nan)


def reduced(
    hidden: Tensor, batch: TokenBatch, how: str, first: Tensor | int = 0, last: Tensor | None = None
) -> Tensor:
    """Mean or maximum over the tokens ``first`` to ``last`` (exclusive) of each cell, in float32.

    Parameters
    ----------
    hidden
        ``(n_rows, hidden)``.
    batch
        Says which rows are a cell's.
    how
        ``"mean"`` or ``"max"``.
    first, last
        Positions counted from the cell's start, one number or one per cell; to the cell's end by default.

    Returns
    -------
    float32, ``(n_cells, hidden)``, NaN for a cell without a token in that range. Every cell is summed by
    itself in the order of its tokens, so that neither its batch nor the number of threads changes a bit.
    """
    lengths = torch.diff(batch.cumulative_lengths).long()
    start = batch.starts + first
    stop = batch.starts + (lengths if last is None else last)
    edges = torch.stack([start, torch.maximum(start, stop)], dim=1).flatten()
    n_rows = torch.tensor([len(hidden)], device=edges.device)
    edges = torch.cat([torch.zeros_like(n_rows), edges, n_rows])
    segments = torch.segment_reduce(hidden.float(), how, offsets=edges, unsafe=True)
    empty = (stop <= start)[:, None]
    return torch.where(empty, torch.nan, segments[1:-1:2])
