"""State Embedding: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import DataError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of
from layerscope.models.settings import Settings
from layerscope.models.state_se_files import IGNORED, Release, read_release, stored_as
from layerscope.models.state_se_network import StateEncoder
from layerscope.models.transformer import gathered, usual_pooling
from layerscope.models.vocabulary import Vocabulary, refusals
from layerscope.models.weights import load_network

SHARES = 100.0  # what the values of a cell sum up to, by the owners' code


class StateEmbedding(FoundationModel):
    """A State Embedding checkpoint of any size."""

    family = "state_se"
    poolings = ("cls", "mean", "mean_genes", "max")
    default_pooling = "cls"
    official_pooling = "decoder of the cell token, divided by its L2 norm; beside it the data set's numbers"
    accepts = ("counts", "log_normalised")
    takes_fractions = True
    module: StateEncoder

    def __init__(self, module: StateEncoder, release: Release, settings: Settings, seed: int) -> None:
        vocabulary = Vocabulary(release.genes, str(release.source))
        super().__init__(module, vocabulary, release.weights, module.config.hidden_size)
        self.seed, self.room, self.cls_gene = seed, release.length - 1, release.cls_gene
        self.special_tokens = {"cls_token": module.cell_id, "dataset_token": module.dataset_id}
        self.sampling = settings.take("sampling", "random", ("random", "fixed"))
        self.gene_order = settings.take("gene_order", "columns", ("columns", "vocabulary"))
        self.min_genes = settings.take("min_expressed_genes", 1, lowest=0)
        self.with_dataset = settings.take("official", "all", ("all", "cell")) == "all"
        if not self.with_dataset:
            self.official_pooling = "decoder of the cell token, divided by its L2 norm"
        self.settings = settings.resolved(without=("checkpoint",))

    def tokenise(self, block: CellBlock) -> Sentences:
        """The cell token; genes by falling value and others that fill the sentence; the data set's token.

        Values are shares of the cell's logarithms. The seed and the cell's id decide the order of equal ones,
        and which unexpressed genes fill the sentence. A cell that expresses all genes of a narrow panel has a
        shorter one (the owners' code fails there).
        """
        known = np.flatnonzero(block.gene_columns >= 0)
        of_cls = self._gene_of_cls(block, known)
        ids: list[Integers] = []
        values: list[npt.NDArray[np.float64]] = []
        for cell in range(block.n_cells):
            entries = block.entries(cell)
            shares = np.zeros(len(self.vocabulary.genes))
            shares[block.genes[entries]] = shares_of(block.values[entries], block.log_normalised)
            if entries.start == entries.stop:
                shares[known] = SHARES / len(known)
            order = self._sentence(block.genes[entries], block.values[entries], known, block.cell_ids[cell])
            ids.append(np.concatenate([[self.module.cell_id], order, [self.module.dataset_id]]))
            values.append(np.concatenate([[shares[of_cls]], shares[order], [0.0]]))
        return Sentences(
            offsets=offsets_of([len(sentence) for sentence in ids]),
            tokens={"ids": np.concatenate(ids), "values": np.concatenate(values)},
            cells={"n_genes": np.minimum(block.n_genes, self.room)},
            refused=refusals(block.n_genes, self.min_genes),
            shortened=block.n_genes > self.room,
        )

    def _gene_of_cls(self, block: CellBlock, known: Integers) -> int:
        """The gene whose value the cell token has, by its number among those known: a slip of the owners."""
        if len(known) <= self.cls_gene:
            raise DataError(
                f"state_se: the cells name {len(known)} genes of the vocabulary, but the cell token has the "
                f"value of number {self.cls_gene} (counted from 0); cells of more genes are needed"
            )
        ordered = known[np.argsort(block.gene_columns[known])] if self.gene_order == "columns" else known
        return int(ordered[self.cls_gene])

    def _sentence(
        self, genes: Integers, values: npt.NDArray[np.float64], known: Integers, cell_id: str
    ) -> Integers:
        """The genes of a cell's sentence: those it expresses, by falling value, then others of the file."""
        draw = cell_generator(self.seed, cell_id) if self.sampling == "random" else None
        ties = np.arange(len(genes)) if draw is None else draw.random(len(genes))
        expressed = genes[np.lexsort((ties, -values))[: self.room]]
        others = known[~np.isin(known, genes, assume_unique=True, kind="table")]
        n_others = self.room - len(expressed)
        if len(others) == 0 or n_others == 0:
            return expressed
        if draw is None:
            places = np.arange(n_others) % len(others)
        elif len(known) >= self.room:
            places = draw.choice(len(others), n_others, replace=False)
        else:
            places = draw.integers(len(others), size=n_others)
        return np.concatenate([expressed, others[places]])

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling, first=1, last=1 + batch.cells["n_genes"])

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        cell = functional.normalize(self.module.decoder(self.pool(hidden, batch, "cls")), dim=1)
        if not self.with_dataset:
            return cell
        last = gathered(hidden, batch, torch.diff(batch.cumulative_lengths).long() - 1)
        return torch.cat([cell, self.module.dataset_embedder(self.module.decoder(last))], dim=1)

    def widths(self, pooling: str) -> tuple[int, int]:
        config = self.module.config
        return self.hidden_size, config.official_size if self.with_dataset else config.output_size

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.proteins.rows, np.arange(len(self.vocabulary.genes))


def shares_of(values: npt.NDArray[np.float64], are_logarithms: bool) -> npt.NDArray[np.float64]:
    """A cell's expressed genes as shares of its logarithms, in percent."""
    logarithms = values if are_logarithms else np.log1p(values)
    shares: npt.NDArray[np.float64] = SHARES * logarithms / logarithms.sum()
    return shares


def load(folder: Path, settings: Settings, seed: int = 0) -> StateEmbedding:
    """Load a release folder; see ``catalogue.implementation``."""
    release = read_release(folder, settings.take("checkpoint", ""))
    module = load_network(StateEncoder, release, IGNORED, stored_as)
    return StateEmbedding(module, release, settings, seed)
