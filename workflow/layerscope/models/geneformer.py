"""Geneformer V1 and V2: a cell's tokens by rank, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.catalogue import FAMILIES
from layerscope.models.geneformer_files import (
    CELL,
    CONFIG,
    END,
    IGNORED,
    Dictionaries,
    model_folder,
    read_dictionaries,
    read_network,
    stored_as,
)
from layerscope.models.geneformer_network import GeneformerEncoder
from layerscope.models.ragged import offsets_of, order_within, runs
from layerscope.models.settings import Settings
from layerscope.models.transformer import usual_pooling
from layerscope.models.vocabulary import Vocabulary, genes_of, refusals, special_of
from layerscope.models.weights import load_network

TIES = ("columns", "tokens")


class Geneformer(FoundationModel):
    """A Geneformer checkpoint of either generation: those of V2 have a cell token, which opens a sentence."""

    family = "geneformer"
    poolings: tuple[str, ...] = ("mean_genes", "mean", "max")
    default_pooling = "mean_genes"
    accepts = ("counts",)
    takes_fractions = True
    module: GeneformerEncoder

    def __init__(
        self, module: GeneformerEncoder, dictionaries: Dictionaries, weights: Path, settings: Settings
    ) -> None:
        tokens, genes, config = dictionaries.tokens, genes_of(dictionaries.tokens), module.config
        source, aliases = str(dictionaries.source), dictionaries.names
        vocabulary = Vocabulary(tuple(genes), source, aliases=aliases, ignore_case=True)
        super().__init__(module, vocabulary, weights, config.hidden_size)
        self.gene_ids = np.array([tokens[gene] for gene in genes], dtype=np.int64)
        self.medians = np.array([dictionaries.medians[gene] for gene in genes], dtype=np.float64)
        self.special_tokens = special_of(tokens)
        self.special = (tokens[CELL], tokens[END]) if CELL in tokens else ()
        self.max_length = settings.take("max_length", config.n_positions)
        if not len(self.special) < self.max_length <= config.n_positions:
            raise ConfigError(
                f"--set max_length={self.max_length}; the model has {config.n_positions} positions, of which "
                f"{len(self.special)} are for special tokens"
            )
        self.ties = settings.take("ties", TIES[0], TIES)
        kinds = {"cls": "cls", "cell": "mean_genes"} if self.special else {"cell": "mean_genes"}
        if self.special:
            self.poolings, self.default_pooling = ("cls", *Geneformer.poolings), "cls"
        official = settings.take("official", next(iter(kinds)), tuple(kinds))
        self.official_layer = settings.take(
            "official_layer", self.n_layers - FAMILIES[self.family].blocks_after_official
        )
        if not 0 <= self.official_layer <= self.n_layers:
            raise ConfigError(
                f"--set official_layer={self.official_layer}; the layers are 0 to {self.n_layers}"
            )
        self.official_kind = kinds[official]
        what = {"cls": "cell token", "mean_genes": "mean over genes"}[self.official_kind]
        self.official_pooling = f"after block {self.official_layer} of {self.n_layers}: {what}"
        self.settings = settings.resolved(without=("trust_sha256", "dictionaries"))

    def tokenise(self, block: CellBlock) -> Sentences:
        """Genes by falling count over median, those of highest rank if there are too many.

        The owners also divide by the cell's total and multiply by 10,000, which no rank depends on. A cell
        that expresses no gene of the vocabulary is refused.
        """
        head, room = len(self.special) // 2, self.max_length - len(self.special)
        n_genes = np.minimum(block.n_genes, room)
        lengths = np.where(n_genes > 0, n_genes + len(self.special), 0)
        offsets = offsets_of(lengths)
        ids = np.zeros(offsets[-1], dtype=np.int64)
        highest = self._ranked(block)[runs(block.offsets[:-1], n_genes)]
        ids[runs(offsets[:-1] + head, n_genes)] = self.gene_ids[highest]
        if self.special:
            has_genes = lengths > 0
            ids[offsets[:-1][has_genes]], ids[offsets[1:][has_genes] - 1] = self.special
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "positions": runs(0 * lengths, lengths)},
            cells={"genes_end": n_genes + head},
            refused=refusals(n_genes),
            shortened=block.n_genes > room,
        )

    def _ranked(self, block: CellBlock) -> Integers:
        """The genes of each cell by falling rank, in float64, ties as the settings say.

        Where ties follow the file's columns, genes that several columns name come last.
        """
        genes, scaled = block.genes, block.values / self.medians[block.genes]
        if self.ties == "columns":
            place: npt.NDArray[np.int64] = np.arange(len(self.medians))
            place[np.lexsort((block.gene_columns, block.n_columns > 1))] = place.copy()
            as_filed = order_within(block.offsets, place[genes])
            genes, scaled = genes[as_filed], scaled[as_filed]
        ranked: Integers = genes[order_within(block.offsets, -scaled)]
        return ranked

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling, len(self.special) // 2, batch.cells["genes_end"])

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return self.pool(hidden, batch, self.official_kind)

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.embeddings.word.weight, self.gene_ids


def load(folder: Path, settings: Settings, seed: int = 0) -> Geneformer:
    """Load a model's folder, or the one so named of a whole release; see ``catalogue.implementation``."""
    folder = model_folder(folder, settings.take("model", ""))
    checkpoint = read_network(folder, trusted_sha256=settings.take("trust_sha256", ""))
    n_tokens = checkpoint.config.vocabulary_size
    dictionaries = read_dictionaries(folder, settings.take("dictionaries", ""), n_tokens)
    module = load_network(GeneformerEncoder, checkpoint, IGNORED, stored_as, CONFIG)
    return Geneformer(module, dictionaries, checkpoint.weights, settings)
