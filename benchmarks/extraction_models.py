"""Models of real size with random weights, for the benchmarks of extraction: one entry a family and size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layerscope.models.base import Network
from layerscope.models.geneformer_network import GeneformerConfig, GeneformerEncoder
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.scgpt_network import ScGptConfig, ScGptEncoder
from layerscope.models.tahoe_x1_network import TahoeX1Config, TahoeX1Encoder
from layerscope.models.token_table import TokenTable
from layerscope.models.transcriptformer_network import TranscriptFormerConfig, TranscriptFormerEncoder
from layerscope.models.transformer import Sizes
from layerscope.models.uce_network import UCEConfig, UCEEncoder

SCFOUNDATION_GENES, TAHOE_VOCABULARY, SCGPT_VOCABULARY = 19264, 62720, 60697
TRANSCRIPTFORMER_GENES, UCE_TOKENS, UCE_HUMAN_GENES = 19800, 145469, 19790


@dataclass(frozen=True, kw_only=True)
class RealSize:
    """A network's sizes, and what decides its number of operations.

    Attributes
    ----------
    network, config
        Its class, and what that takes. Batches have the token columns ``ids`` (below ``n_ids``), ``values``,
        ``counts`` and ``positions``.
    n_ids
        Tokens of the vocabulary.
    longest
        Tokens of a cell at most.
    official
        Width of the official embedding, in hidden sizes.
    causal
        Whether a token attends only to those before it, which halves the operations of attention.
    """

    network: Callable[[Any], Network]
    config: Sizes
    n_ids: int
    longest: int
    official: int = 1
    causal: bool = False

    def operations(self, tokens: int) -> float:
        """Floating-point operations of the blocks' matrix products for a cell."""
        hidden = self.config.hidden_size
        weights = 4 * hidden**2 + 2 * hidden * self.config.feed_forward
        attention = (2.0 if self.causal else 4.0) * tokens**2 * hidden
        return self.config.n_layers * (2.0 * tokens * weights + attention)

    def drawn(self, device: torch.device | str = "cpu") -> Network:
        """The network on a device, with random weights: its speed does not depend on them."""
        with torch.device("meta"):
            network = self.network(self.config)
        tables = {f"{name}.weight" for name, part in network.named_modules() if isinstance(part, TokenTable)}
        tensors = {
            name: _table(like, device) if name in tables else _random(name, like, device)
            for name, like in network.state_dict().items()
        }
        network.load_state_dict(tensors, assign=True)
        return network.eval().to(device)


def _random(name: str, like: Tensor, device: torch.device | str) -> Tensor:
    """Matrices and biases small and normal, norms neutral."""
    if like.dim() == 1 and name.endswith("weight"):
        return torch.ones(like.shape, device=device)
    return torch.empty(like.shape, device=device).normal_(0, 0.02)


def _table(like: Tensor, device: torch.device | str) -> Tensor:
    """A table of tokens; on a CPU of zeros in a memory map, as it is read from a checkpoint."""
    if torch.device(device).type != "cpu":
        return torch.empty(like.shape, device=device).normal_()
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(4 * like.numel())
        return torch.from_file(file.name, shared=False, size=like.numel()).view(like.shape)


def tahoe_x1(hidden: int, layers: int, heads: int, activation: str) -> RealSize:
    """Tahoe-X1 of a size."""
    config = TahoeX1Config(
        vocabulary_size=TAHOE_VOCABULARY,
        hidden_size=hidden,
        n_layers=layers,
        heads=heads,
        feed_forward=4 * hidden,
        activation=activation,
        value_activation=activation,
    )
    return RealSize(network=TahoeX1Encoder, config=config, n_ids=TAHOE_VOCABULARY, longest=TAHOE_VOCABULARY)


def geneformer(hidden: int, layers: int, heads: int, wide: int, n_ids: int, longest: int) -> RealSize:
    """Geneformer of a generation and size."""
    config = GeneformerConfig(
        vocabulary_size=n_ids,
        n_positions=longest,
        hidden_size=hidden,
        n_layers=layers,
        heads=heads,
        feed_forward=wide,
    )
    return RealSize(network=GeneformerEncoder, config=config, n_ids=n_ids, longest=longest)


def uce(layers: int) -> RealSize:
    """UCE of a depth: cells have about 1,070 tokens."""
    config = UCEConfig(
        n_tokens=UCE_TOKENS,
        token_width=5120,
        hidden_size=1280,
        n_layers=layers,
        heads=20,
        feed_forward=5120,
        n_positions=1536,
        decoder=(1024, 1280, 1280, 1280),
    )
    return RealSize(network=UCEEncoder, config=config, n_ids=UCE_HUMAN_GENES, longest=1536)


SCFOUNDATION = RealSize(
    network=ScFoundationEncoder,
    config=ScFoundationConfig(
        n_genes=SCFOUNDATION_GENES, hidden_size=768, n_layers=12, heads=12, feed_forward=3072
    ),
    n_ids=SCFOUNDATION_GENES,
    longest=SCFOUNDATION_GENES,
    official=4,
)
SCGPT = RealSize(
    network=ScGptEncoder,
    config=ScGptConfig(
        vocabulary_size=SCGPT_VOCABULARY, hidden_size=512, n_layers=12, heads=8, feed_forward=512
    ),
    n_ids=SCGPT_VOCABULARY,
    longest=1200,
)
TRANSCRIPTFORMER = RealSize(
    network=TranscriptFormerEncoder,
    config=TranscriptFormerConfig(
        n_tokens=TRANSCRIPTFORMER_GENES,
        token_width=2560,
        n_assays=0,
        assay_column="",
        hidden_size=2048,
        n_layers=12,
        heads=16,
        feed_forward=2048,
    ),
    n_ids=TRANSCRIPTFORMER_GENES,
    longest=2048,
    causal=True,
)

MODELS: Mapping[str, Mapping[str, RealSize]] = {
    "scfoundation": {"": SCFOUNDATION},
    "tahoe_x1": {
        "70m": tahoe_x1(512, 12, 8, "relu"),
        "1b": tahoe_x1(2048, 24, 16, "relu"),
        "3b": tahoe_x1(2560, 32, 20, "gelu"),
    },
    "scgpt": {"": SCGPT},
    "geneformer": {
        "v1_10m": geneformer(256, 6, 4, 512, 25426, 2048),
        "v2_104m": geneformer(768, 12, 12, 3072, 20275, 4096),
        "v2_316m": geneformer(1152, 18, 18, 4608, 20275, 4096),
    },
    "transcriptformer": {"": TRANSCRIPTFORMER},
    "uce": {"4layer": uce(4), "33layer": uce(33)},
}


def real_size(family: str, size: str) -> RealSize:
    """The sizes of a model; of the family's first where none is named."""
    sizes = MODELS[family]
    chosen = size or next(iter(sizes))
    if chosen not in sizes:
        raise SystemExit(f"{family} has the sizes {', '.join(sizes)}")
    return sizes[chosen]
