"""PyTorch's own ``TransformerEncoderLayer`` as a block over packed tokens.

Parameters carry PyTorch's names, so that the state dict of such a layer goes in and out as it is.
"""

from __future__ import annotations

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
