"""Geneformer V1 and V2: tokens by rank, poolings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.geneformer_files import (
    CELL,
    END,
    IGNORED,
    Dictionaries,
    model_folder,
    read_dictionaries,
    read_network,
    stored_as,
)
from layerscope.models.geneformer_network import GeneformerEncoder
from layerscope.models.settings import Settings
from layerscope.models.transformer import first_token, reduced
from layerscope.models.vocabulary import Vocabulary
from layerscope.models.weights import load_strictly

TIES = ("columns", "tokens")


class Geneformer(FoundationModel):
    """A Geneformer checkpoint of either generation: those of V2 have a cell token, which opens a sentence.

    Settings
    --------
    model
        Which model, where the folder of weights is a whole release.
    dictionaries
        Folder of the dictionaries, from the model's; by default where the release has them.
    max_length
        Tokens per cell at most, special ones included; by default ``max_position_embeddings``. A longer cell
        keeps its genes of highest rank.
    ties
        Order of genes of equal rank: ``columns`` (default), that of the file, as a stable sort in the owners'
        code gives it, genes that several columns name last; or ``tokens``, that of their ids, so that the
        order of a file's columns changes nothing.
    official
        The owners' cell embedding: ``cls`` (default of V2), the cell token; or ``cell`` (the only one of V1),
        the mean over genes.
    official_layer
        The block after which it is taken; by default the second to last, as the owners do.
    """

    family = "geneformer"
    poolings: tuple[str, ...] = ("mean_genes", "mean", "max")
    default_pooling = "mean_genes"
    accepts = ("counts",)
    takes_fractions = True
    module: GeneformerEncoder

    def __init__(
        self, module: GeneformerEncoder, dictionaries: Dictionaries, weights: Path, settings: Settings
    ) -> None:
        tokens, genes, config = dictionaries.tokens, dictionaries.genes, module.config
        source, aliases = str(dictionaries.source), dictionaries.names
        vocabulary = Vocabulary(tuple(genes), source, aliases=aliases, ignore_case=True)
        super().__init__(module, vocabulary, weights, config.hidden_size)
        self.gene_ids = np.array([tokens[gene] for gene in genes], dtype=np.int64)
        self.medians = np.array([dictionaries.medians[gene] for gene in genes], dtype=np.float64)
        self.special = (tokens[CELL], tokens[END]) if CELL in tokens else ()
        self.max_length = settings.take("max_length", config.n_positions)
        if not len(self.special) < self.max_length <= config.n_positions:
            raise ConfigError(
                f"geneformer: max_length={self.max_length}; the model has {config.n_positions} positions, "
                f"of which {len(self.special)} are for special tokens"
            )
        self.ties = settings.take("ties", TIES[0], TIES)
        kinds = {"cls": "cls", "cell": "mean_genes"} if self.special else {"cell": "mean_genes"}
        if self.special:
            self.poolings, self.default_pooling = ("cls", *Geneformer.poolings), "cls"
        official = settings.take("official", next(iter(kinds)), tuple(kinds))
        self.official_layer = settings.take("official_layer", self.n_layers - 1)
        if not 0 <= self.official_layer <= self.n_layers:
            raise ConfigError(
                f"geneformer: official_layer={self.official_layer}; the layers are 0 to {self.n_layers}"
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
        n_cells, head = len(block.cell_ids), len(self.special) // 2
        cells = np.repeat(np.arange(n_cells), np.diff(block.offsets))
        ranked = self._ranked(block, cells)
        rank = np.arange(len(ranked)) - block.offsets[cells]
        room = self.max_length - len(self.special)
        n_genes = np.minimum(np.diff(block.offsets), room)
        lengths = np.where(n_genes > 0, n_genes + len(self.special), 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        ids = np.zeros(offsets[-1], dtype=np.int64)
        kept = rank < room
        ids[(offsets[cells] + head + rank)[kept]] = self.gene_ids[ranked[kept]]
        if self.special:
            some = lengths > 0
            ids[offsets[:-1][some]], ids[offsets[1:][some] - 1] = self.special
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "positions": positions},
            cells={"genes_end": n_genes + head},
            refused=["" if n else "expresses no gene of the vocabulary" for n in n_genes],
            shortened=np.diff(block.offsets) > room,
        )

    def _ranked(self, block: CellBlock, cells: Integers) -> Integers:
        """The genes of each cell by falling rank, in float64, ties as the settings say."""
        place: npt.NDArray[np.int64] = np.arange(len(self.medians))
        if self.ties == "columns":
            place[np.lexsort((block.gene_columns, block.n_columns > 1))] = place.copy()
        scaled = block.values / self.medians[block.genes]
        ranked: Integers = block.genes[np.lexsort((place[block.genes], -scaled, cells))]
        return ranked

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        match pooling:
            case "cls" if self.special:
                return first_token(hidden, batch)
            case "mean" | "max":
                return reduced(hidden, batch, pooling)
            case "mean_genes":
                first = len(self.special) // 2
                return reduced(hidden, batch, "mean", first=first, last=batch.cells["genes_end"])
        raise self.no_pooling(pooling)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return self.pool(hidden, batch, self.official_kind)

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.embeddings.word.weight, self.gene_ids


def load(folder: Path, settings: Settings, seed: int = 0) -> Geneformer:
    """Load a model of the owners' release.

    Parameters
    ----------
    folder
        A model's folder (``config.json``, ``model.safetensors``) with the dictionaries in it or, as in the
        release, in the folder ``geneformer`` beside it; or a whole release.
    settings
        See :class:`Geneformer`; ``trust_sha256`` opts in to an unsafe checkpoint.
    seed
        Not used: nothing is drawn at random.

    Raises
    ------
    ModelError
        If a file is missing, damaged, unsafe, or does not fit the others.
    """
    folder = model_folder(folder, settings.take("model", ""))
    weights, config, tensors = read_network(folder, trusted_sha256=settings.take("trust_sha256", ""))
    dictionaries = read_dictionaries(folder, settings.take("dictionaries", ""), config.vocabulary_size)
    with torch.device("meta"):
        module = GeneformerEncoder(config)
    load_strictly(module, tensors, ignored=IGNORED, path=weights, stored_as=stored_as)
    return Geneformer(module, dictionaries, weights, settings)
