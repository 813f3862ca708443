"""Causal attention with a term per key and a soft cap on the scores, which no fused kernel offers.

On a CPU it goes cell by cell, a few heads and a block of queries at a time, against the keys up to the last
query of the block: the scores stay in cache, and most of those of later keys are never computed. On a GPU the
cells of one length go together, all heads and more queries at a time: as many passes over the scores as there
are operations on them cost more there than the products do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layerscope.models.base import Span, TokenBatch
from layerscope.models.transformer import Scratch

QUERIES, HEADS_PER_THREAD = 128, 4
QUERIES_TOGETHER, SCORES_AT_ONCE = 512, 1 << 28  # on a GPU, and in training


@dataclass(frozen=True)
class Keys:
    """What attention knows of the keys of a batch."""

    bias: Tensor  # added to every score of a key, float32 (n_rows,)
    closed: Tensor  # whether nothing may attend to the first token of each cell, bool (n_cells,)


def capped_attention(
    qkv: Tensor, heads: int, batch: TokenBatch, keys: Keys, softcap: float, scratch: Scratch
) -> Tensor:
    """Attention of each token to itself and the tokens before it in its cell.

    The score of query and key is ``q . k / sqrt(head size) + bias``, and then, if ``softcap`` is above zero,
    ``softcap * tanh(score / softcap)``. ``qkv`` is as in :func:`layerscope.models.transformer.attention`; so
    is the result, which is zero where a token may attend to nothing.
    """
    width = qkv.shape[1] // 3
    split = qkv.view(len(qkv), 3, heads, -1)
    out = scratch.take("context", len(qkv), width, qkv, qkv.dtype)
    if out is None:
        return torch.cat([_together(split, part, batch, keys, softcap) for part in _parts(batch, heads)])
    for cell, closed in enumerate(keys.closed.tolist()):
        rows = slice(int(batch.offsets[cell]), int(batch.offsets[cell + 1]))
        _cell(split[rows], keys.bias[rows], closed, softcap, out[rows], scratch)
    return out


def _cell(split: Tensor, bias: Tensor, closed: bool, softcap: float, out: Tensor, scratch: Scratch) -> None:
    """Attention of one cell, into ``out``, some heads and some queries at a time."""
    tokens, _, heads, size = split.shape
    unit = softcap if softcap > 0 else 1.0
    bias = (bias / unit).to(split.dtype)
    future = torch.full((QUERIES, QUERIES), -math.inf, dtype=split.dtype).triu(1)
    context = out.view(tokens, heads, size)
    heads_at_once = HEADS_PER_THREAD * torch.get_num_threads()
    for first in range(0, heads, heads_at_once):
        of_heads = slice(first, min(first + heads_at_once, heads))
        query, key, value = (part.transpose(0, 1).contiguous() for part in split[:, :, of_heads].unbind(1))
        query = query / (math.sqrt(size) * unit)
        flat = scratch.take("scores", len(query) * QUERIES, tokens, split, split.dtype)
        assert flat is not None, "buffers are there in inference on a CPU"
        for start in range(0, tokens, QUERIES):
            stop = min(start + QUERIES, tokens)
            shape = len(query), stop - start, stop
            scores = flat.view(-1)[: math.prod(shape)].view(shape)
            keys = key[:, :stop].transpose(1, 2)
            torch.baddbmm(bias[:stop], query[:, start:stop], keys, out=scores)
            if softcap > 0:
                scores.tanh_().mul_(softcap)
            scores[:, :, start:] += future[: stop - start, : stop - start]
            if closed:
                scores[:, :, 0] = -math.inf
            weights = torch.softmax(scores, dim=-1)
            context[start:stop, of_heads] = torch.bmm(weights, value[:, :stop]).transpose(0, 1)
    if closed:
        out[0] = 0


def _parts(batch: TokenBatch, heads: int) -> list[Span]:
    """The spans of a batch, cut so that the scores of a part fit into memory."""
    parts = []
    for span in batch.spans:
        scores_of_cell = heads * min(span.length, QUERIES_TOGETHER) * span.length
        cells_at_once = max(SCORES_AT_ONCE // scores_of_cell, 1)
        for first in range(0, span.n_cells, cells_at_once):
            n_cells = min(cells_at_once, span.n_cells - first)
            parts.append(Span(span.start + first * span.length, n_cells, span.length))
    return parts


def _together(split: Tensor, span: Span, batch: TokenBatch, keys: Keys, softcap: float) -> Tensor:
    """Attention of some cells of one length, all heads and a block of queries at once; scores in float32."""
    cells = split[span.rows].view(span.n_cells, span.length, *split.shape[1:])
    query, key, value = (part.transpose(1, 2) for part in cells.unbind(2))
    unit = softcap if softcap > 0 else 1.0
    query = query / (math.sqrt(query.shape[-1]) * unit)
    bias = keys.bias[span.rows].view(span.n_cells, 1, 1, span.length) / unit
    first = int(np.searchsorted(batch.offsets, span.start))
    closed = keys.closed[first : first + span.n_cells, None, None]
    place = torch.arange(span.length, device=split.device)
    contexts = []
    for start in range(0, span.length, QUERIES_TOGETHER):
        stop = min(start + QUERIES_TOGETHER, span.length)
        scores = query[:, :, start:stop] @ key[:, :, :stop].transpose(2, 3) + bias[:, :, :, :stop]
        if softcap > 0:
            scores = softcap * torch.tanh(scores)
        queries = place[start:stop]
        scores.narrow(-1, start, stop - start).masked_fill_(queries > queries[:, None], -math.inf)
        scores.select(-1, 0).masked_fill_(closed & (queries > 0), -math.inf)
        contexts.append(torch.softmax(scores, dim=-1).to(split.dtype) @ value[:, :, :stop])
    context = torch.cat(contexts, dim=2).transpose(1, 2)
    without_key = closed & (place[:, None] == 0)  # the first token itself, where it is closed
    return context.masked_fill(without_key.unsqueeze(-1), 0.0).reshape(span.n_cells * span.length, -1)
