"""What the small models are pretrained for: masked value prediction, each in the manner of its own family.

Only the encoders are the released architectures. The heads that predict are smaller than the owners'
(scFoundation's is a second transformer over all genes), are used in pretraining alone, and are stored under
names that every loader ignores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from layerscope.demo.corpus import Corpus, Draw
from layerscope.models import scfoundation_files, tahoe_x1_files
from layerscope.models.base import TokenBatch
from layerscope.models.ragged import offsets_of
from layerscope.models.scfoundation_network import ScFoundationConfig, ScFoundationEncoder
from layerscope.models.tahoe_x1_network import TahoeX1Config, TahoeX1Encoder

FEED_FORWARD = 4


@dataclass(frozen=True)
class Inputs:
    """One shard of a batch: tokens in, and what is to be predicted from them."""

    batch: TokenBatch
    target: Tensor  # value of every gene in every cell
    scored: Tensor  # genes to predict from the cell's own tokens
    hidden: Tensor  # rows of masked genes' tokens in the batch


class GeneDecoder(nn.Module):
    """Value of every gene: vectors of the cell, mapped and summed, times the gene's embedding.

    It starts from zero maps and each gene's mean value as bias, so that what is learned is how cells differ.
    """

    def __init__(self, n_vectors: int, hidden: int, n_genes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.query = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(n_vectors))
        self.bias = nn.Parameter(torch.zeros(n_genes))
        for parameter in self.query.parameters():
            nn.init.zeros_(parameter)

    def forward(self, genes: Tensor, *vectors: Tensor) -> Tensor:
        """Embeddings ``[n_genes, hidden]`` and vectors ``[n_cells, hidden]`` to ``[n_cells, n_genes]``."""
        queries = [layer(vector) for layer, vector in zip(self.query, vectors, strict=True)]
        return torch.addmm(self.bias, torch.stack(queries).sum(dim=0), genes.T, alpha=self.scale)


class Objective(nn.Module, ABC):
    """An encoder with the heads and the loss that it is pretrained by."""

    n_special: int  # token ids below this are not genes
    sees_masked: bool  # whether masked genes have tokens

    @abstractmethod
    def start_from(self, expressed: Tensor, means: Tensor) -> None:
        """Let the heads begin with the share of cells that express each gene, and its mean value in those."""

    @abstractmethod
    def inputs(self, corpus: Corpus, draw: Draw, rng: np.random.Generator | None) -> Inputs:
        """Tokens and targets of a draw; without ``rng`` as at inference, nothing about them varied."""

    @abstractmethod
    def loss(self, inputs: Inputs) -> Tensor:
        """What is minimised."""

    @abstractmethod
    def masked(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction, truth and gene of each masked value, to compare with predicting means."""

    @abstractmethod
    def write(self, folder: Path, genes: Sequence[str]) -> None:
        """Write the release."""

    def heads(self) -> dict[str, Tensor]:
        """The tensors of the heads, named as they are stored."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("encoder.")}


class ScFoundationObjective(Objective):
    """Masked value prediction from the cell's tokens S and T, which see the visible expressed genes alone.

    As in scFoundation the encoder gets no masked and no unexpressed gene, and the values of masked genes,
    expressed or not, are regressed (mean squared error on ``ln(1 + x / total * 10^T)``). T, the total that
    values are to be normalised to, varies in training between 3.5 and 4.5 and is 4 at inference; S is the
    cell's own total.
    """

    n_special, sees_masked = 0, False
    resolution = (3.5, 4.0, 4.5)
    pos_scale, value_scale = 0.1, 0.3

    def __init__(self, n_genes: int, layers: int, hidden: int, heads: int, seed: int) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"hidden_size": hidden, "n_layers": layers, "heads": heads}
        config = ScFoundationConfig(n_genes=n_genes, feed_forward=FEED_FORWARD * hidden, **sizes)
        self.encoder = ScFoundationEncoder.fresh(config, seed)
        self.decoder = GeneDecoder(2, hidden, n_genes)
        with torch.no_grad():
            self.encoder.pos_emb.weight.mul_(self.pos_scale)
            self.encoder.token_emb.emb.weight.mul_(self.value_scale)

    def start_from(self, expressed: Tensor, means: Tensor) -> None:
        self.decoder.bias.data.copy_(expressed * means)

    def inputs(self, corpus: Corpus, draw: Draw, rng: np.random.Generator | None) -> Inputs:
        low, usual, high = self.resolution
        n_cells, config = len(draw.cells), self.encoder.config
        resolution = np.full(n_cells, usual) if rng is None else rng.uniform(low, high, n_cells)
        seen = ~draw.hidden
        order = np.lexsort((draw.gene[seen], draw.owner[seen]))
        owner, gene, value = draw.owner[seen][order], draw.gene[seen][order], draw.value[seen][order]
        lengths = np.bincount(owner, minlength=n_cells)
        ends = np.cumsum(lengths)
        special = np.stack([resolution, corpus.depth[draw.cells]], axis=1).ravel()
        special_ids = np.tile([config.resolution_id, config.total_count_id], n_cells)
        at = np.repeat(ends, 2)
        batch = TokenBatch(
            tokens={
                "ids": torch.from_numpy(np.insert(gene, at, special_ids)),
                "values": torch.from_numpy(np.insert(value, at, special.astype(np.float32))),
            },
            cells={},
            offsets=offsets_of(lengths + 2),
        )
        scale = (10.0 ** (resolution - usual)).astype(np.float32)
        target = np.log1p(np.expm1(draw.target) * scale[:, None])
        return Inputs(batch, torch.from_numpy(target), torch.from_numpy(draw.scored), torch.empty(0))

    def predicted(self, inputs: Inputs) -> Tensor:
        """Value of every gene in every cell."""
        hidden = self.encoder(inputs.batch)
        last = torch.as_tensor(inputs.batch.offsets[1:]) - 1
        genes = self.encoder.pos_emb.weight[: self.encoder.config.n_genes]
        predicted: Tensor = self.decoder(genes, hidden[last], hidden[last - 1])
        return predicted

    def loss(self, inputs: Inputs) -> Tensor:
        error = (self.predicted(inputs) - inputs.target).square()
        return (error * inputs.scored).sum() / inputs.scored.sum()

    def masked(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        scored = inputs.scored
        return self.predicted(inputs)[scored], inputs.target[scored], scored.nonzero()[:, 1]

    def write(self, folder: Path, genes: Sequence[str]) -> None:
        encoders = dict.fromkeys(scfoundation_files.SUBMODELS, self.encoder)
        scfoundation_files.write_release(folder, encoders, genes, self.heads())


class CellTokenDecoder(nn.Module):
    """What the cell token is asked: the bin of every gene, and whether it is expressed."""

    def __init__(self, hidden: int, n_genes: int) -> None:
        super().__init__()
        # the embeddings come from a norm and are sqrt(hidden) long
        self.bin = GeneDecoder(1, hidden, n_genes, hidden**-0.5)
        self.expressed = GeneDecoder(1, hidden, n_genes, hidden**-0.5)


class TahoeX1Objective(Objective):
    """Masked bins from the tokens of masked genes, and what the cell expresses from the cell token.

    As in Tahoe-X1 a masked gene is in the sentence with the value -1, and its bin (in fiftieths) is regressed
    twice: from its own token (``expression_decoder``), and from the cell token by a product with the gene's
    embedding (``mvc_decoder.bin``). The bins of shallow cells, mostly 1, say little of a cell's state; so a
    second such product (``mvc_decoder.expressed``) must tell which genes outside the sentence the cell
    expresses: cross-entropy of a softmax over these genes, which does not ask for the cell's depth.
    """

    n_special, sees_masked = 3, True
    masked_value, cell_value, cell_id = -1.0, -2.0, 1
    n_bins = 50.0
    gene_scale, rarest = 0.1, 0.005

    def __init__(self, n_genes: int, layers: int, hidden: int, heads: int, seed: int) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"hidden_size": hidden, "n_layers": layers, "heads": heads}
        vocabulary_size = n_genes + self.n_special
        config = TahoeX1Config(vocabulary_size=vocabulary_size, feed_forward=FEED_FORWARD * hidden, **sizes)
        self.encoder = TahoeX1Encoder.fresh(config, seed)
        self.expression_decoder = nn.Sequential(
            nn.Linear(hidden, hidden), nn.LeakyReLU(), nn.Linear(hidden, 1)
        )
        self.mvc_decoder = CellTokenDecoder(hidden, n_genes)
        with torch.no_grad():
            self.encoder.gene_encoder.embedding.weight.mul_(self.gene_scale)
        _draw_linear(self.expression_decoder, seed)

    def start_from(self, expressed: Tensor, means: Tensor) -> None:
        self.mvc_decoder.bin.bias.data.copy_(means / self.n_bins)
        self.mvc_decoder.expressed.bias.data.copy_(expressed.clamp(min=self.rarest).log())

    def inputs(self, corpus: Corpus, draw: Draw, rng: np.random.Generator | None) -> Inputs:
        n_cells = len(draw.cells)
        lengths = np.bincount(draw.owner, minlength=n_cells)
        starts = np.cumsum(lengths) - lengths
        value = np.where(draw.hidden, np.float32(self.masked_value), draw.value)
        batch = TokenBatch(
            tokens={
                "ids": torch.from_numpy(np.insert(draw.gene + self.n_special, starts, self.cell_id)),
                "values": torch.from_numpy(np.insert(value, starts, np.float32(self.cell_value))),
            },
            cells={},
            offsets=offsets_of(lengths + 1),
        )
        outside = draw.scored.copy()
        outside[draw.owner, draw.gene] = False
        hidden = np.flatnonzero(np.insert(draw.hidden, starts, False))
        arrays = (draw.target / np.float32(self.n_bins), outside, hidden)
        return Inputs(batch, *map(torch.from_numpy, arrays))

    def loss(self, inputs: Inputs) -> Tensor:
        states = self.encoder(inputs.batch)
        cells, genes = self._masked_genes(inputs)
        truth = inputs.target[cells, genes]
        token, encoder = states[inputs.batch.starts], self.encoder.gene_encoder
        embedded = encoder.enc_norm(encoder.embedding.weight[self.n_special :])
        by_token = (self.expression_decoder(states[inputs.hidden])[:, 0] - truth).square()
        by_cell = (self.mvc_decoder.bin(embedded, token)[cells, genes] - truth).square()
        outside = self.mvc_decoder.expressed(embedded, token).masked_fill(~inputs.scored, -torch.inf)
        is_expressed = inputs.scored & (inputs.target > 0)
        likelihood = functional.log_softmax(outside, dim=1)[is_expressed].sum()
        expressed = -likelihood / is_expressed.sum().clamp(min=1)
        masked: Tensor = (by_token + by_cell).sum() / max(len(truth), 1)
        return masked + expressed

    def masked(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        cells, genes = self._masked_genes(inputs)
        predicted = self.expression_decoder(self.encoder(inputs.batch)[inputs.hidden])[:, 0]
        return predicted, inputs.target[cells, genes], genes

    def _masked_genes(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Cell and gene of each hidden token."""
        ends = torch.as_tensor(inputs.batch.offsets[1:])
        cells = torch.bucketize(inputs.hidden, ends, right=True)
        return cells, inputs.batch.tokens["ids"][inputs.hidden] - self.n_special

    def write(self, folder: Path, genes: Sequence[str]) -> None:
        longest = len(genes) + 1
        tahoe_x1_files.write_release(folder, self.encoder, genes, max_length=longest, heads=self.heads())


OBJECTIVES: dict[str, type[ScFoundationObjective] | type[TahoeX1Objective]] = {
    "scfoundation": ScFoundationObjective,
    "tahoe_x1": TahoeX1Objective,
}


def _draw_linear(module: nn.Module, seed: int) -> None:
    """Draw a head's linear layers from a generator of its own, so that the global one is left alone."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.normal_(0.0, layer.in_features**-0.5, generator=draw)
                layer.bias.zero_()
