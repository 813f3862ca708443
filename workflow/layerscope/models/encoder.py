"""Networks of transformer blocks over packed tokens, and how their weights are drawn.

Parameters of a block carry the names of PyTorch's own ``TransformerEncoderLayer``, so that the state dict of
such a layer goes in and out as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from layerscope.errors import ModelError
from layerscope.models.activations import activation_of, is_elementwise
from layerscope.models.base import Network, TokenBatch
from layerscope.models.transformer import Scratch, attention, by_rows, linear, plus, reusable


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes that every transformer has."""

    hidden_size: int
    n_layers: int  # blocks
    heads: int
    feed_forward: int  # width of the feed-forward layers

    def demand_computable(self, path: Path, *activations: str) -> None:
        """Refuse a file by which heads would not be of one width, or whose activations are not known."""
        if self.heads < 1 or self.hidden_size % self.heads:
            raise ModelError(f"{path}: {self.heads} heads do not divide a width of {self.hidden_size}")
        for name in activations:
            if not is_elementwise(name):
                raise ModelError(
                    f"{path}: activation {name!r} is no function of one number that PyTorch or Hugging Face "
                    "has under that name, such as relu, gelu, silu"
                )


class Transformer(Network):
    """A network that embeds tokens, and whose blocks take them, the batch, and :meth:`context`."""

    @abstractmethod
    def embed(self, batch: TokenBatch) -> Tensor:
        """What enters the first block, ``(n_rows, hidden_size)``."""

    def context(self, batch: TokenBatch) -> tuple[Any, ...]:
        """What the blocks take besides tokens and batch."""
        return ()

    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        """Yield ``(0, input of the first block)``, then ``(i, output of block i)`` for ``i`` from 1."""
        x, context = self.embed(batch), self.context(batch)
        yield 0, x
        for layer, block in enumerate(self.stack, start=1):
            x = block(x, batch, *context)
            yield layer, x

    def initialise(self, seed: int) -> None:
        """Draw all weights anew: by PyTorch's defaults, which most owners leave in place, then as they do."""
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            draw_as_pytorch(self, draw)
            self.draw_as_owners(draw)

    def draw_as_owners(self, draw: torch.Generator) -> None:
        """Draw what the owners do not leave to PyTorch: nothing, unless a network says otherwise."""


class SelfAttention(nn.Module):
    """Parameters of an attention layer under PyTorch's own names."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.out_proj = nn.Linear(hidden_size, hidden_size)

    @property
    def joined(self) -> tuple[Tensor, Tensor]:
        """The matrix and the bias of queries, keys and values."""
        return self.in_proj_weight, self.in_proj_bias


class JoinedProjections(nn.Module):
    """Parameters of an attention layer with one linear layer for queries, keys and values."""

    def __init__(self, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(hidden_size, 3 * hidden_size, bias=bias)
        self.out_proj = nn.Linear(hidden_size, hidden_size, bias=bias)

    @property
    def joined(self) -> tuple[Tensor, Tensor | None]:
        """As of :class:`SelfAttention`."""
        return self.Wqkv.weight, self.Wqkv.bias


class AttentionBlock(nn.Module):
    """Full attention, then a feed-forward part, with norms after the two or before; blocks share buffers."""

    heads: int
    scratch: Scratch
    norm_first: bool
    activation: Callable[[Tensor], Tensor]
    self_attn: SelfAttention | JoinedProjections
    norm1: nn.LayerNorm
    norm2: nn.LayerNorm
    linear1: nn.Linear
    linear2: nn.Linear

    @property
    def feed_forward(self) -> tuple[nn.Linear, nn.Linear]:
        """Its two linear layers."""
        return self.linear1, self.linear2

    def forward(self, x: Tensor, batch: TokenBatch, *context: Any) -> Tensor:
        """``(n_rows, hidden_size)`` to the same shape."""
        rows, width, dtype = len(x), x.shape[1], self.self_attn.out_proj.weight.dtype
        qkv = by_rows(self._qkv, x, out=self.scratch.take("qkv", rows, 3 * width, x, dtype))
        attended = self._attention(qkv, batch, *context)
        return by_rows(self._after_attention, x, attended, out=x if reusable(x) else None)

    def _attention(self, qkv: Tensor, batch: TokenBatch, *context: Any) -> Tensor:
        return attention(qkv, self.heads, batch, self.scratch)

    def _qkv(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        return linear(self.norm1(x) if self.norm_first else x, *self.self_attn.joined, out)

    def _after_attention(self, x: Tensor, context: Tensor, out: Tensor | None = None) -> Tensor:
        rows, width = x.shape
        projection, (first, second) = self.self_attn.out_proj, self.feed_forward
        dtype = first.weight.dtype
        wide = self.scratch.take("wide", rows, len(first.weight), x, dtype)
        narrow = self.scratch.take("narrow", rows, width, x, dtype)
        x = plus(x, linear(context, projection.weight, projection.bias, narrow))
        if not self.norm_first:
            x = self.norm1(x)
        inner = self.norm2(x) if self.norm_first else x
        hidden = self.activation(linear(inner, first.weight, first.bias, wide))
        if self.norm_first:  # x lies in the narrow buffer
            narrow = self.scratch.take("update", rows, width, x, dtype)
        update = linear(hidden, second.weight, second.bias, narrow)
        if self.norm_first:
            return plus(x, update, out)
        result: Tensor = self.norm2(plus(x, update))
        return result if out is None else out.copy_(result)


class Block(AttentionBlock):
    """Transformer block."""

    def __init__(
        self,
        sizes: Sizes,
        scratch: Scratch,
        activation: str,
        eps: float,
        norm_first: bool,
        attention: type[SelfAttention | JoinedProjections],
    ) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.heads, self.scratch, self.norm_first = sizes.heads, scratch, norm_first
        self.activation = activation_of(activation)
        self.self_attn = attention(width)
        self.linear1 = nn.Linear(width, sizes.feed_forward)
        self.linear2 = nn.Linear(sizes.feed_forward, width)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.norm2 = nn.LayerNorm(width, eps=eps)


def encoder_blocks(
    sizes: Sizes,
    activation: str = "relu",
    eps: float = 1e-5,
    norm_first: bool = False,
    attention: type[SelfAttention | JoinedProjections] = SelfAttention,
) -> nn.ModuleList:
    """The blocks of a network, which share their buffers."""
    scratch = Scratch()
    blocks = (Block(sizes, scratch, activation, eps, norm_first, attention) for _ in range(sizes.n_layers))
    return nn.ModuleList(blocks)


def draw_as_pytorch(network: nn.Module, draw: torch.Generator) -> None:
    """Draw all linear layers, embeddings, norms and attention of ``network`` by PyTorch's defaults."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            module.weight.uniform_(-bound, bound, generator=draw)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=draw)
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(generator=draw)
        elif isinstance(module, nn.LayerNorm):
            module.weight.fill_(1.0)
            module.bias.zero_()
    for module in network.modules():
        if isinstance(module, SelfAttention):
            nn.init.xavier_uniform_(module.in_proj_weight, generator=draw)
            module.in_proj_bias.zero_()
            module.out_proj.bias.zero_()


def draw_attention_as_linear(network: nn.Module, draw: torch.Generator) -> None:
    """Draw attention anew as where queries, keys and values are one linear layer as any other."""
    for part in network.modules():
        if isinstance(part, SelfAttention):
            bound = part.out_proj.in_features**-0.5
            part.in_proj_weight.uniform_(-bound, bound, generator=draw)
            for bias in (part.in_proj_bias, part.out_proj.bias):
                bias.uniform_(-bound, bound, generator=draw)
