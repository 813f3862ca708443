"""The block of PyTorch's own ``TransformerEncoderLayer``, post-norm, over packed tokens; and stacks of it.

Parameters carry PyTorch's names, so that the state dict of such a layer goes in and out as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from layerscope.models.activations import activation_of
from layerscope.models.transformer import AttentionBlock, Scratch, Sizes, linear, plus


class SelfAttention(nn.Module):
    """Parameters of an attention layer under PyTorch's own names."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.out_proj = nn.Linear(hidden_size, hidden_size)


class Block(AttentionBlock):
    """Post-norm transformer block; the blocks of a network share their buffers."""

    def __init__(self, sizes: Sizes, scratch: Scratch, activation: str, eps: float) -> None:
        super().__init__()
        width = sizes.hidden_size
        self.heads, self.scratch = sizes.heads, scratch
        self.activation = activation_of(activation)
        self.self_attn = SelfAttention(width)
        self.linear1 = nn.Linear(width, sizes.feed_forward)
        self.linear2 = nn.Linear(sizes.feed_forward, width)
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.norm2 = nn.LayerNorm(width, eps=eps)

    def _qkv(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        return linear(x, self.self_attn.in_proj_weight, self.self_attn.in_proj_bias, out)

    def _after_attention(self, x: Tensor, context: Tensor, out: Tensor | None = None) -> Tensor:
        rows, width = x.shape
        projection, dtype = self.self_attn.out_proj, self.linear1.weight.dtype
        wide = self.scratch.take("wide", rows, len(self.linear1.weight), x, dtype)
        narrow = self.scratch.take("narrow", rows, width, x, dtype)
        x = self.norm1(plus(x, linear(context, projection.weight, projection.bias, narrow)))
        hidden = self.activation(linear(x, self.linear1.weight, self.linear1.bias, wide))
        update = linear(hidden, self.linear2.weight, self.linear2.bias, narrow)
        result: Tensor = self.norm2(plus(x, update))
        return result if out is None else out.copy_(result)


def post_norm_blocks(sizes: Sizes, activation: str = "relu", eps: float = 1e-5) -> nn.ModuleList:
    """The blocks of a network, which share their buffers."""
    scratch = Scratch()
    return nn.ModuleList(Block(sizes, scratch, activation, eps) for _ in range(sizes.n_layers))


def draw_as_pytorch(network: nn.Module, draw: torch.Generator) -> None:
    """Draw all linear layers, embeddings, norms and post-norm blocks of ``network`` by PyTorch's defaults."""
    with torch.no_grad():
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
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, SelfAttention):
                bound = part.out_proj.in_features**-0.5
                part.in_proj_weight.uniform_(-bound, bound, generator=draw)
                for bias in (part.in_proj_bias, part.out_proj.bias):
                    bias.uniform_(-bound, bound, generator=draw)
