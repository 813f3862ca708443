"""What encoders compute on packed tokens: row-wise work in blocks of rows, attention and pooling by cell.

On a CPU the rows go through matrix products in blocks of about :data:`BLOCK`, so that the intermediate values
stay in cache. In training, and on a GPU, the whole matrix goes at once. A BLAS library picks its kernel, and
with it the order of its sums, by the shape of a product: what else is in its batch may change a cell's last
bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from layerscope.models.base import TokenBatch

BLOCK = 1024
LONG = 512
HALF = (torch.float16, torch.bfloat16)


class Scratch:
    """Buffers for intermediate values, used again and again.

    On a CPU a fresh result of a few megabytes costs page faults that take up to half as long as the matrix
    product that fills it. Where gradients are wanted, and on a GPU, there is none: PyTorch allocates.
    """

    def __init__(self) -> None:
        self._flat: dict[str, Tensor] = {}

    def take(self, name: str, rows: int, width: int, like: Tensor, dtype: torch.dtype) -> Tensor | None:
        """A buffer ``(rows, width)``, holding anything; ``None`` where results are to be allocated."""
        if not reusable(like):
            return None
        flat = self._flat.get(name)
        if flat is None or flat.numel() < rows * width or flat.dtype != dtype:
            with torch.inference_mode(False):
                self._flat[name] = flat = torch.empty(rows * width, dtype=dtype)
        return flat[: rows * width].view(rows, width)


def reusable(x: Tensor) -> bool:
    """Whether this is inference on a CPU: results go to buffers, and rows in blocks of one size."""
    return not torch.is_grad_enabled() and x.device.type == "cpu"


def by_rows(function: Callable[..., Tensor], *matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """``function(*matrices)``, a row from the same rows alone, in blocks of about :data:`BLOCK` rows.

    With ``out``, which may be one of ``matrices``, the function is given a block of that to write to.
    """
    if not reusable(matrices[0]):
        return function(*matrices)
    blocks = blocks_of(len(matrices[0]))
    if out is None:
        parts = [function(*(matrix[block] for matrix in matrices)) for block in blocks]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
    for block in blocks:
        function(*(matrix[block] for matrix in matrices), out=out[block])
    return out


def by_ids(function: Callable[[Tensor], Tensor], batch: TokenBatch) -> Tensor:
    """What the row-wise ``function`` makes of the ids of a batch's tokens; each distinct one is done once."""
    distinct, place = batch.distinct_ids
    return by_rows(function, distinct).index_select(0, place)


def blocks_of(n_rows: int) -> list[slice]:
    """Cut rows into nearly equal blocks."""
    count = max(round(n_rows / BLOCK), 1)
    edges = [n_rows * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` in the precision of the weight; into ``out``, if there is one."""
    x = x.to(weight.dtype)
    if out is None:
        return functional.linear(x, weight, bias)
    return torch.mm(x, weight.t(), out=out) if bias is None else torch.addmm(bias, x, weight.t(), out=out)


def plus(x: Tensor, update: Tensor, out: Tensor | None = None) -> Tensor:
    """``x + update``: into ``out``, if there is one, else in place of ``update`` in the same precision."""
    if out is not None:
        return torch.add(x, update, out=out)
    return update.add_(x) if update.dtype == x.dtype else x + update


def attention(qkv: Tensor, heads: int, batch: TokenBatch, scratch: Scratch) -> Tensor:
    """Full attention among the tokens of each cell, scaled by ``1 / sqrt(head size)``: ``(n_rows, hidden)``.

    ``qkv`` holds queries, keys and values, ``(n_rows, 3 * hidden)``: three blocks of columns, the heads of
    each contiguous. Neighbouring cells of one length share a kernel call; no mask is needed. Where not all
    tokens are attended to, it goes cell by cell, and keys and values are gathered.
    """
    width = qkv.shape[1] // 3
    split = qkv.view(len(qkv), 3, heads, -1)
    if _takes_packed(split):
        return _varlen(split, batch)
    contexts = (_of_spans if batch.attended is None else _of_cells)(split, batch, scratch)
    out = scratch.take("context", len(qkv), width, qkv, qkv.dtype)
    if out is None:
        return torch.cat([context for _, context in contexts])
    for rows, context in contexts:
        out[rows] = context
    return out


def _of_spans(split: Tensor, batch: TokenBatch, scratch: Scratch) -> Iterator[tuple[slice, Tensor]]:
    """Rows of neighbouring cells of one length, and their attention."""
    for span in batch.spans:
        cells = split[span.rows].view(span.n_cells, span.length, *split.shape[1:])
        query, key, value = cells.unbind(2)
        yield span.rows, _dot_product(query, key, value, scratch).reshape(span.n_cells * span.length, -1)


def _of_cells(split: Tensor, batch: TokenBatch, scratch: Scratch) -> Iterator[tuple[slice, Tensor]]:
    """Rows of each cell, and their attention to those of its tokens that are attended to."""
    for cell in range(batch.n_cells):
        rows = slice(int(batch.offsets[cell]), int(batch.offsets[cell + 1]))
        keys = batch.key_rows[int(batch.key_offsets[cell]) : int(batch.key_offsets[cell + 1])]
        query, (key, value) = split[rows, 0], split[:, 1:].index_select(0, keys).unbind(1)
        yield rows, _dot_product(query[None], key[None], value[None], scratch).flatten(2)[0]


def _dot_product(query: Tensor, key: Tensor, value: Tensor, scratch: Scratch) -> Tensor:
    """Attention of ``(cells, tokens, heads, size)``, to the same shape."""
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    if value.shape[2] >= LONG:
        value = _contiguous(value, scratch)
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)


def _contiguous(value: Tensor, scratch: Scratch) -> Tensor:
    """Values head by head, as a CPU's products read them fastest where there are many tokens."""
    cells, heads, tokens, size = value.shape
    buffer = scratch.take("value", cells * heads * tokens, size, value, value.dtype)
    return value if buffer is None else buffer.view(value.shape).copy_(value)


def _takes_packed(split: Tensor) -> bool:
    """Whether PyTorch's variable-length flash kernel takes such heads, and the GPU is one that has it."""
    if not split.is_cuda or split.dtype not in HALF:
        return False
    size = split.shape[-1]
    return size % 8 == 0 and size <= 256 and torch.cuda.get_device_capability(split.device) >= (8, 0)


def _varlen(split: Tensor, batch: TokenBatch) -> Tensor:
    """Attention of all cells of a batch in one call of PyTorch's variable-length flash kernel."""
    from torch.nn.attention.varlen import varlen_attn  # two seconds, and needed on a GPU alone

    query, key, value = split.unbind(1)
    if batch.attended is not None:
        key, value = split[:, 1:].index_select(0, batch.key_rows).unbind(1)
    longest, most_keys = (int(np.diff(offsets).max()) for offsets in (batch.offsets, batch.key_offsets))
    context = varlen_attn(
        query, key, value, batch.cumulative_lengths, batch.cumulative_keys, longest, most_keys
    )
    return cast(Tensor, context).flatten(1)


def gathered(hidden: Tensor, batch: TokenBatch, position: Tensor) -> Tensor:
    """The state of one token per cell, float32 ``(n_cells, hidden)``.

    ``position`` counts from the cell's start; where it is -1, there is NaN.
    """
    rows = batch.starts + position.clamp(min=0)
    states = hidden.index_select(0, rows).float()
    return torch.where((position >= 0)[:, None], states, torch.nan)


def first_token(hidden: Tensor, batch: TokenBatch) -> Tensor:
    """The hidden state of the token that opens each cell, float32, ``(n_cells, hidden)``."""
    return gathered(hidden, batch, torch.zeros_like(batch.starts))


def usual_pooling(
    hidden: Tensor, batch: TokenBatch, pooling: str, first: int = 0, last: Tensor | None = None
) -> Tensor:
    """``cls``: the first token; ``mean``, ``max``: of all; ``mean_genes``: of those ``first`` to ``last``."""
    match pooling:
        case "cls":
            return first_token(hidden, batch)
        case "mean_genes":
            return reduced(hidden, batch, "mean", first, last)
    return reduced(hidden, batch, pooling)


def reduced(
    hidden: Tensor, batch: TokenBatch, how: str, first: Tensor | int = 0, last: Tensor | None = None
) -> Tensor:
    """Mean, max or sum over the tokens ``first`` to ``last`` (exclusive, its end by default) of each cell.

    These count from the cell's start, one number or one per cell. Returns float32, ``(n_cells, hidden)``, NaN
    for a cell without a token in that range.
    """
    lengths = torch.diff(batch.cumulative_lengths).long()
    start = batch.starts + first
    stop = batch.starts + (lengths if last is None else last)
    edges = torch.stack([start, torch.maximum(start, stop)], dim=1).flatten()
    edges = functional.pad(functional.pad(edges, (1, 0)), (0, 1), value=len(hidden))
    segments = torch.segment_reduce(hidden.float(), how, offsets=edges, unsafe=True)
    empty = (stop <= start)[:, None]
    return torch.where(empty, torch.nan, segments[1:-1:2])
