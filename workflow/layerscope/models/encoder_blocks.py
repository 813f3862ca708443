"""PyTorch's own ``TransformerEncoderLayer`` as a block over packed tokens, and the drawing of its weights.

Parameters carry PyTorch's names, so that the state dict of such a layer goes in and out as it is.
"""

from __future__ import annotations

import torch
from torch import nn

from layerscope.models.activations import activation_of
from layerscope.models.transformer import AttentionBlock, JoinedProjections, Scratch, SelfAttention, Sizes


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
