"""Models of real size with random weights, for the benchmarks of extraction: one entry a family and size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from layerscope.models.base import Network
from layerscope.models.encoder import Sizes
from layerscope.models.geneformer_network import GeneformerConfig, GeneformerEncoder
from layerscope.models.network_size import operations
from layerscope.models.nicheformer_network import NicheformerConfig, NicheformerEncoder
from layerscope.models.scconcept_network import ScConceptConfig, ScConceptEncoder
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.scgpt_network import ScGptConfig, ScGptEncoder
from layerscope.models.state_se_network import StateConfig, StateEncoder
from layerscope.models.tahoe_x1_network import TahoeX1Config, TahoeX1Encoder
from layerscope.models.token_table import TokenTable
from layerscope.models.transcriptformer_network import TranscriptFormerConfig, TranscriptFormerEncoder
from layerscope.models.uce_network import UCEConfig, UCEEncoder
from layerscope.verification.command import read_entry

ENTRIES = Path(__file__).parents[1] / "config" / "models.yaml"
SCFOUNDATION_GENES, TAHOE_VOCABULARY, SCGPT_VOCABULARY = 19264, 62720, 60697
NICHEFORMER_ROWS, STATE_GENES = 20345, 19790
TRANSCRIPTFORMER_GENES, UCE_TOKENS, UCE_HUMAN_GENES = 19800, 145469, 19790
SCCONCEPT_GENES = 20000  # about as many as code for proteins


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
        config = self.config
        return operations(config.hidden_size, config.feed_forward, config.n_layers, tokens, self.causal)

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


def sizes_of(model: str, heads: int) -> dict[str, int]:
    """Sizes of a model as its entry in config/models.yaml states them, but for the number of heads."""
    entry = read_entry(ENTRIES, model)
    assert entry.network is not None
    return {
        "hidden_size": entry.network.width,
        "feed_forward": entry.network.feed_forward,
        "n_layers": entry.layers,
        "heads": heads,
    }


def tahoe_x1(model: str, heads: int, activation: str) -> RealSize:
    """Tahoe-X1 of a size."""
    config = TahoeX1Config(
        vocabulary_size=TAHOE_VOCABULARY,
        **sizes_of(model, heads),
        activation=activation,
        value_activation=activation,
    )
    return RealSize(network=TahoeX1Encoder, config=config, n_ids=TAHOE_VOCABULARY, longest=TAHOE_VOCABULARY)


def geneformer(model: str, heads: int, n_ids: int, longest: int) -> RealSize:
    """Geneformer of a generation and size."""
    config = GeneformerConfig(vocabulary_size=n_ids, n_positions=longest, **sizes_of(model, heads))
    return RealSize(network=GeneformerEncoder, config=config, n_ids=n_ids, longest=longest)


def uce(model: str) -> RealSize:
    """UCE of a depth: cells have about 1,070 tokens."""
    config = UCEConfig(
        n_tokens=UCE_TOKENS,
        token_width=5120,
        **sizes_of(model, heads=20),
        n_positions=1536,
        decoder=(1024, 1280, 1280, 1280),
    )
    return RealSize(network=UCEEncoder, config=config, n_ids=UCE_HUMAN_GENES, longest=1536)


def scconcept(model: str, heads: int, longest: int, pretrained_width: int = 0) -> RealSize:
    """scConcept of a size, for human cells."""
    sizes = sizes_of(model, heads)
    config = ScConceptConfig(
        species="hsapiens",
        n_tokens=SCCONCEPT_GENES,
        gene_width=sizes["hidden_size"],
        pretrained_width=pretrained_width,
        n_positions=longest,
        norm_first=True,
        activation="gelu",
        **sizes,
    )
    return RealSize(network=ScConceptEncoder, config=config, n_ids=SCCONCEPT_GENES, longest=longest)


SCFOUNDATION = RealSize(
    network=ScFoundationEncoder,
    config=ScFoundationConfig(n_genes=SCFOUNDATION_GENES, **sizes_of("scfoundation", heads=12)),
    n_ids=SCFOUNDATION_GENES,
    longest=SCFOUNDATION_GENES,
    official=4,
)
SCGPT = RealSize(
    network=ScGptEncoder,
    config=ScGptConfig(vocabulary_size=SCGPT_VOCABULARY, **sizes_of("scgpt", heads=8)),
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
        **sizes_of("transcriptformer_sapiens", heads=16),
    ),
    n_ids=TRANSCRIPTFORMER_GENES,
    longest=2048,
    causal=True,
)
NICHEFORMER = RealSize(
    network=NicheformerEncoder,
    config=NicheformerConfig(
        n_tokens=NICHEFORMER_ROWS, n_positions=1500, **sizes_of("nicheformer", heads=16)
    ),
    n_ids=NICHEFORMER_ROWS,
    longest=1500,
)
STATE_SE = RealSize(
    network=StateEncoder,
    config=StateConfig(
        n_tokens=STATE_GENES,
        token_width=5120,
        n_bins=10,
        bin_width=512,
        output_size=2048,
        n_dataset=10,
        **sizes_of("state_se_600m", heads=16),
    ),
    n_ids=STATE_GENES,
    longest=2049,
)

MODELS: Mapping[str, Mapping[str, RealSize]] = {
    "scfoundation": {"": SCFOUNDATION},
    "tahoe_x1": {
        "70m": tahoe_x1("tahoe_x1_70m", 8, "relu"),
        "1b": tahoe_x1("tahoe_x1_1b", 16, "relu"),
        "3b": tahoe_x1("tahoe_x1_3b", 20, "gelu"),
    },
    "scgpt": {"": SCGPT},
    "geneformer": {
        "v1_10m": geneformer("geneformer_v1_10m", 4, 25426, 2048),
        "v2_104m": geneformer("geneformer_v2_104m", 12, 20275, 4096),
        "v2_316m": geneformer("geneformer_v2_316m", 18, 20275, 4096),
    },
    "transcriptformer": {"": TRANSCRIPTFORMER},
    "scconcept": {
        "30m": scconcept("scconcept_30m", 8, 1001),
        "170m": scconcept("scconcept_170m", 16, 20001, pretrained_width=640),
    },
    "uce": {"4layer": uce("uce_4layer"), "33layer": uce("uce_33layer")},
    "nicheformer": {"": NICHEFORMER},
    "state_se": {"600m": STATE_SE},
}


def real_size(family: str, size: str) -> RealSize:
    """The sizes of a model; of the family's first where none is named."""
    sizes = MODELS[family]
    chosen = size or next(iter(sizes))
    if chosen not in sizes:
        raise SystemExit(f"{family} has the sizes {', '.join(sizes)}")
    return sizes[chosen]
