"""What scGPT, and Tahoe-X1 after it, embed a token by: which gene it is, and what value it has."""

from __future__ import annotations

from torch import Tensor, nn

from layerscope.models.activations import activation_of


class GeneEncoder(nn.Module):
    """Gene table and, mostly, norm."""

    def __init__(self, vocabulary_size: int, hidden_size: int, use_norm: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, hidden_size)
        self.enc_norm = nn.LayerNorm(hidden_size) if use_norm else nn.Identity()

    def forward(self, ids: Tensor) -> Tensor:
        """``(n,)`` to ``(n, hidden_size)``."""
        out: Tensor = self.enc_norm(self.embedding(ids))
        return out


class ValueEncoder(nn.Module):
    """Two-layer encoder of a token's value, cut at ``max_value``, mostly with norm."""

    def __init__(self, hidden_size: int, max_value: float, activation: str, use_norm: bool = True) -> None:
        super().__init__()
        self.max_value = max_value
        self.activation = activation_of(activation)
        self.linear1 = nn.Linear(1, hidden_size)
        self.linear2 = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size) if use_norm else nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        """``(n,)`` to ``(n, hidden_size)``."""
        hidden = self.activation(self.linear1(values.clamp(max=self.max_value)[:, None]))
        out: Tensor = self.norm(self.linear2(hidden))
        return out
