"""The size of a network, and how many operations follow from it: known before a weight is fetched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from layerscope.settings import Settings

Whole = Annotated[int, Field(ge=1)]


def operations(width: int, feed_forward: int, layers: int, tokens: int, causal: bool = False) -> float:
    """Floating-point operations of the blocks' matrix products for a cell of so many tokens."""
    weights = 4 * width**2 + 2 * width * feed_forward
    attention = (2.0 if causal else 4.0) * tokens**2 * width
    return layers * (2.0 * tokens * weights + attention)


class NetworkSize(Settings):
    """Sizes of a foundation model's network, by which its cost is told before it is paid."""

    width: Whole
    """Numbers that a layer has for a cell."""
    feed_forward: Whole
    """Width inside of the feed-forward part of a block."""
    max_tokens: Whole
    """Tokens of a cell at most; a cell has one for each gene that it expresses."""
    tokens: Whole | None = None
    """Tokens of every cell, where they do not follow from its genes."""
    official_width: Whole | None = None
    """Numbers of the official embedding; null: as many as of a layer."""
    input_weights: int = Field(default=0, ge=0)
    """Weights of the products that make a token of a gene before the first block; none for a look-up."""
    output_weights: int = Field(default=0, ge=0)
    """Weights of the products that make the official embedding of a cell after the last block."""
    causal: bool = False
    """Whether a token attends only to those before it, which halves the operations of attention."""

    def tokens_of(self, n_genes: int, max_length: int | None = None) -> int:
        """Tokens of a cell that expresses so many genes."""
        return self.tokens or min(n_genes, self.max_tokens, max_length or self.max_tokens)

    def operations(self, layers: int, tokens: int) -> float:
        """Floating-point operations of the blocks' matrix products for a cell."""
        return operations(self.width, self.feed_forward, layers, tokens, self.causal)

    def around_blocks(self) -> dict[str, float]:
        """What comes before the first block and after the last, in operations of a block, for a long cell."""
        tokens = self.tokens_of(self.max_tokens)
        block = self.operations(1, tokens)
        before, after = 2.0 * tokens * self.input_weights, 2.0 * self.output_weights
        return {"before_blocks": before / block, "after_blocks": after / block}

    def numbers_of_a_cell(self, layers: int) -> int:
        """Numbers of all layers of a cell: what enters the first block, each block's output, the official."""
        return (layers + 1) * self.width + (self.official_width or self.width)
