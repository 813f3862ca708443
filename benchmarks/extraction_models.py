"""Models of real size with random weights, for the benchmark of extraction: one entry a family and size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from layerscope.models import (
    geneformer_network,
    scfoundation_network,
    scgpt_network,
    tahoe_x1_network,
    transcriptformer_network,
    uce_network,
)
from layerscope.models.base import TokenBatch
from layerscope.models.token_table import TokenTable

SCFOUNDATION_GENES, TAHOE_VOCABULARY, SCGPT_VOCABULARY = 19264, 62720, 60697
TRANSCRIPTFORMER_GENES, UCE_TOKENS, UCE_HUMAN_GENES = 19800, 145469, 19790


class Encoder(Protocol):
    """What the benchmark runs."""

    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        """Hidden states, layer by layer."""


@dataclass(frozen=True, kw_only=True)
class RealSize:
    """A network, and what decides its number of operations.

    Attributes
    ----------
    encoder
        Batches have the token columns ``ids`` (below ``n_ids``), ``values``, ``counts`` and ``positions``.
    hidden, layers, heads, feed_forward
        Sizes of the blocks.
    n_ids
        Tokens of the vocabulary.
    longest
        Tokens of a cell at most.
    causal
        Whether a token attends only to those before it, which halves the operations of attention.
    """

    encoder: Encoder
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    n_ids: int
    longest: int
    causal: bool = False

    def operations(self, tokens: int) -> float:
        """Floating-point operations of the blocks' matrix products for a cell."""
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.feed_forward
        attention = (2.0 if self.causal else 4.0) * tokens**2 * self.hidden
        return self.layers * (2.0 * tokens * weights + attention)


def scfoundation() -> RealSize:
    """scFoundation."""
    config = scfoundation_network.ScFoundationConfig(
        n_genes=SCFOUNDATION_GENES, hidden_size=768, n_layers=12, heads=12, feed_forward=3072
    )
    return RealSize(
        encoder=scfoundation_network.fresh(config, 0).eval(),
        hidden=768,
        layers=12,
        heads=12,
        feed_forward=3072,
        n_ids=SCFOUNDATION_GENES,
        longest=SCFOUNDATION_GENES,
    )


def tahoe_x1(hidden: int, layers: int, heads: int, activation: str) -> RealSize:
    """Tahoe-X1 of a size."""
    config = tahoe_x1_network.TahoeX1Config(
        vocabulary_size=TAHOE_VOCABULARY,
        hidden_size=hidden,
        n_layers=layers,
        heads=heads,
        feed_forward=4 * hidden,
        activation=activation,
        value_activation=activation,
    )
    return RealSize(
        encoder=tahoe_x1_network.fresh(config, 0).eval(),
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=4 * hidden,
        n_ids=TAHOE_VOCABULARY,
        longest=TAHOE_VOCABULARY,
    )


def scgpt() -> RealSize:
    """scGPT: cells of more than 1,200 tokens are cut to that."""
    config = scgpt_network.ScGptConfig(
        vocabulary_size=SCGPT_VOCABULARY, hidden_size=512, n_layers=12, heads=8, feed_forward=512
    )
    return RealSize(
        encoder=scgpt_network.fresh(config, 0).eval(),
        hidden=512,
        layers=12,
        heads=8,
        feed_forward=512,
        n_ids=SCGPT_VOCABULARY,
        longest=1200,
    )


def geneformer(hidden: int, layers: int, heads: int, wide: int, n_ids: int, longest: int) -> RealSize:
    """Geneformer of a generation and size."""
    config = geneformer_network.GeneformerConfig(
        vocabulary_size=n_ids,
        n_positions=longest,
        hidden_size=hidden,
        n_layers=layers,
        heads=heads,
        feed_forward=wide,
    )
    return RealSize(
        encoder=geneformer_network.fresh(config, 0).eval(),
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=wide,
        n_ids=n_ids,
        longest=longest,
    )


def on_disk(table: TokenTable) -> None:
    """Put a table of tokens into a memory map, as it is read from a checkpoint; its rows are zero."""
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 (it lives as long as its map)
    file.truncate(4 * table.weight.numel())
    mapped = torch.from_file(file.name, shared=False, size=table.weight.numel())
    table.weight = nn.Parameter(mapped.view(table.weight.shape), requires_grad=False)


def transcriptformer() -> RealSize:
    """TranscriptFormer Sapiens."""
    config = transcriptformer_network.TranscriptFormerConfig(
        n_tokens=TRANSCRIPTFORMER_GENES,
        token_width=2560,
        n_assays=0,
        assay_column="",
        hidden_size=2048,
        n_layers=12,
        heads=16,
        feed_forward=2048,
    )
    encoder = transcriptformer_network.TranscriptFormerEncoder(config)
    encoder.initialise(0)
    on_disk(encoder.gene_embeddings.embedding)
    return RealSize(
        encoder=encoder.eval(),
        hidden=2048,
        layers=12,
        heads=16,
        feed_forward=2048,
        n_ids=TRANSCRIPTFORMER_GENES,
        longest=2048,
        causal=True,
    )


def uce(layers: int) -> RealSize:
    """UCE of a depth: cells have about 1,070 tokens."""
    config = uce_network.UCEConfig(
        n_tokens=UCE_TOKENS,
        token_width=5120,
        hidden_size=1280,
        n_layers=layers,
        heads=20,
        feed_forward=5120,
        n_positions=1536,
        decoder=(1024, 1280, 1280, 1280),
    )
    encoder = uce_network.UCEEncoder(config)
    encoder.initialise(0)
    on_disk(encoder.pe_embedding)
    return RealSize(
        encoder=encoder.eval(),
        hidden=1280,
        layers=layers,
        heads=20,
        feed_forward=5120,
        n_ids=UCE_HUMAN_GENES,
        longest=1536,
    )


MODELS: Mapping[str, Mapping[str, Callable[[], RealSize]]] = {
    "scfoundation": {"": scfoundation},
    "tahoe_x1": {
        "70m": lambda: tahoe_x1(512, 12, 8, "relu"),
        "1b": lambda: tahoe_x1(2048, 24, 16, "relu"),
        "3b": lambda: tahoe_x1(2560, 32, 20, "gelu"),
    },
    "scgpt": {"": scgpt},
    "geneformer": {
        "v1_10m": lambda: geneformer(256, 6, 4, 512, 25426, 2048),
        "v2_104m": lambda: geneformer(768, 12, 12, 3072, 20275, 4096),
        "v2_316m": lambda: geneformer(1152, 18, 18, 4608, 20275, 4096),
    },
    "transcriptformer": {"": transcriptformer},
    "uce": {"4layer": lambda: uce(4), "33layer": lambda: uce(33)},
}


def build(family: str, size: str) -> RealSize:
    """A model of real size with random weights; of the family's first size where none is named."""
    sizes = MODELS[family]
    chosen = size or next(iter(sizes))
    if chosen not in sizes:
        raise SystemExit(f"{family} has the sizes {', '.join(sizes)}")
    return sizes[chosen]()
