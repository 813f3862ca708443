"""UCE: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import ConfigError, DataError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of, runs
from layerscope.models.settings import Settings
from layerscope.models.transformer import usual_pooling
from layerscope.models.uce_files import (
    IGNORED,
    TABLE,
    UNPLACED,
    Genes,
    config_of,
    find_checkpoint,
    read_genes,
    release_folder,
)
from layerscope.models.uce_network import UCEEncoder
from layerscope.models.vocabulary import Vocabulary
from layerscope.models.weights import Checkpoint, load_network, read_tensors

RIGHT_BRACKET, CELL = 2, 3  # of the owners' code; no file holds them
HEADS, SAMPLE_SIZE = 20, 1024  # of both released checkpoints; no file holds them
SPECIAL_OF_CELL, SPECIAL_OF_CHROMOSOME = 1, 2


class UCE(FoundationModel):
    """A UCE checkpoint of any size, for the genes of one species."""

    family = "uce"
    poolings = ("cls", "mean", "max")
    default_pooling = "cls"
    official_pooling = "decoder of the cell token, divided by its L2 norm"
    accepts = ("counts",)
    takes_fractions = True
    module: UCEEncoder

    def __init__(
        self, module: UCEEncoder, genes: Genes, weights: Path, settings: Settings, seed: int
    ) -> None:
        vocabulary = Vocabulary(genes.names, str(genes.source), ignore_case=True)
        super().__init__(module, vocabulary, weights, module.config.hidden_size)
        self.genes, self.seed = genes, seed
        self.sampling = settings.take("sampling", "random", ("random", "expected"))
        self.sample_size = settings.take("sample_size", SAMPLE_SIZE, lowest=1)
        self.draw_seed_column = settings.take("draw_seed_column", "")
        self.obs_columns = (self.draw_seed_column,) if self.draw_seed_column else ()
        shortest = SPECIAL_OF_CELL + SPECIAL_OF_CHROMOSOME + self.sample_size
        if shortest > module.config.n_positions:
            raise ConfigError(
                f"{weights}: a sentence of {self.sample_size} genes has at least {shortest} tokens, and "
                f"positions are {module.config.n_positions}; set its genes with --set sample_size=N"
            )
        if self.draw_seed_column and self.sampling != "random":
            raise ConfigError(
                f"--set draw_seed_column={self.draw_seed_column}: it seeds what sampling=random draws, and "
                f"sampling is {self.sampling}; give one of them"
            )
        self.settings = settings.resolved(without=("trust_sha256", "checkpoint", "protein_embeddings"))

    def tokenise(self, block: CellBlock) -> Sentences:
        """The cell token; then per chromosome its token, its genes by where they begin, a right bracket.

        Counts are cut to whole numbers. A cell without any count left is refused (the owners' code fails
        there), and one whose genes lie on more chromosomes than there are positions for. A file with genes
        that the release does not place is refused: the owners' code fails there, or gives such a gene another
        token's chromosome.
        """
        self._demand_places(block)
        n_cells, longest = block.n_cells, self.module.config.n_positions
        sentences: list[Integers] = []
        refused = [""] * n_cells
        for cell in range(n_cells):
            entries = block.entries(cell)
            counts = np.trunc(block.values[entries])
            genes = block.genes[entries][counts > 0]
            sentence: Integers = np.zeros(0, dtype=np.int64)
            if len(genes) == 0:
                refused[cell] = "has no count of a gene of the vocabulary"
            else:
                sentence = self._sentence(*self._drawn(block, cell, genes, counts[counts > 0]))
            if len(sentence) > longest:
                refused[cell] = f"needs more tokens than the {longest} positions that the model has"
                sentence = sentence[:0]
            sentences.append(sentence)
        lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
        offsets = offsets_of(lengths)
        ids = np.concatenate(sentences) if sentences else np.zeros(0, dtype=np.int64)
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "positions": runs(0 * lengths, lengths)},
            cells={},
            refused=refused,
            shortened=np.zeros(n_cells, dtype=bool),
        )

    def _demand_places(self, block: CellBlock) -> None:
        unplaced = np.flatnonzero((self.genes.chromosomes == UNPLACED) & (block.gene_columns >= 0))
        if len(unplaced):
            names = ", ".join(self.genes.names[place] for place in unplaced[:3])
            more = ", ..." if len(unplaced) > 3 else ""
            raise DataError(
                f"uce: {len(unplaced)} genes of the cells ({names}{more}) have no chromosome or no start in "
                "the release, and so no place in a sentence; leave them out with --set unplaced_genes=drop"
            )

    def _drawn(
        self, block: CellBlock, cell: int, genes: Integers, counts: npt.NDArray[np.float64]
    ) -> tuple[Integers, Integers]:
        """The genes of a cell's sentence, with repeats, and its chromosomes in their order."""
        if self.sampling == "expected":
            return expected_sample(genes, np.log1p(counts), self.sample_size, self.genes.chromosomes)
        if not self.draw_seed_column:
            draw = cell_generator(self.seed, block.cell_ids[cell])
            return random_sample(genes, np.log1p(counts), self.sample_size, self.genes.chromosomes, draw)
        try:
            owners = np.random.RandomState(int(block.obs[self.draw_seed_column][cell]))
        except ValueError as error:
            seed = block.obs[self.draw_seed_column][cell]
            raise DataError(
                f"obs[{self.draw_seed_column!r}] (--set draw_seed_column): {seed!r} is no seed of NumPy's"
            ) from error
        as_filed = np.argsort(block.gene_columns[genes], kind="stable")
        weights = np.log1p(counts[as_filed].astype(np.float32))
        return random_sample(genes[as_filed], weights, self.sample_size, self.genes.chromosomes, owners)

    def _sentence(self, drawn: Integers, chromosomes: Integers) -> Integers:
        """The tokens of a sentence: genes, with repeats, on these chromosomes, in their order.

        The order of ``drawn`` decides between genes that begin at the same place.
        """
        rank = np.argsort(chromosomes)[np.searchsorted(np.sort(chromosomes), self.genes.chromosomes[drawn])]
        order = np.lexsort((self.genes.starts[drawn], rank))
        drawn, rank = drawn[order], rank[order]
        n_tokens = SPECIAL_OF_CELL + len(drawn) + SPECIAL_OF_CHROMOSOME * len(chromosomes)
        ids = np.empty(n_tokens, dtype=np.int64)
        ids[0] = CELL
        places = SPECIAL_OF_CELL + np.arange(len(drawn)) + SPECIAL_OF_CHROMOSOME * rank + 1
        ids[places] = self.genes.tokens[drawn]
        before = np.searchsorted(rank, np.arange(len(chromosomes)))
        opening = SPECIAL_OF_CELL + before + SPECIAL_OF_CHROMOSOME * np.arange(len(chromosomes))
        ids[opening] = chromosomes
        ids[np.append(opening[1:], len(ids)) - 1] = RIGHT_BRACKET
        return ids

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        return usual_pooling(hidden, batch, pooling)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return functional.normalize(self.module.decoder(self.pool(hidden, batch, "cls")), dim=1)

    def widths(self, pooling: str) -> tuple[int, int]:
        return self.hidden_size, self.module.config.decoder[-1]

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.pe_embedding.rows, self.genes.tokens


def random_sample(
    genes: Integers,
    weights: npt.NDArray[np.floating],
    size: int,
    chromosomes: Integers,
    draw: np.random.Generator | np.random.RandomState,
) -> tuple[Integers, Integers]:
    """Draw genes of a cell with replacement, and the order of their chromosomes, as the owners' code does.

    A gene's chance is in proportion to its weight; ``chromosomes`` are tokens, one for each known gene.
    """
    drawn = genes[draw.choice(len(genes), size=size, p=weights / weights.sum(), replace=True)]
    order = np.unique(chromosomes[drawn])
    draw.shuffle(order)
    return drawn, order


def expected_sample(
    genes: Integers, weights: npt.NDArray[np.floating], size: int, chromosomes: Integers
) -> tuple[Integers, Integers]:
    """Each gene as often as it is expected in a random sample; chromosomes by ascending token.

    Whole parts of the expected numbers first, then one more for those with the largest remainders (Hamilton's
    apportionment), ties to the gene that stands first.
    """
    share = weights / weights.sum() * size
    times = np.floor(share).astype(np.int64)
    largest = np.argsort(times - share, kind="stable")[: size - int(times.sum())]
    times[largest] += 1
    drawn = np.repeat(genes, times)
    return drawn, np.unique(chromosomes[drawn])


def load(folder: Path, settings: Settings, seed: int = 0) -> UCE:
    """Load a release folder, or the ``model_files`` in it; see ``catalogue.implementation``."""
    folder = release_folder(folder)
    weights = find_checkpoint(folder, settings.take("checkpoint", ""))
    tensors = read_tensors(weights, settings.take("trust_sha256", ""), "a safetensors file")
    config = config_of(tensors, settings.take("nhead", HEADS, lowest=1), weights)
    module = load_network(UCEEncoder, Checkpoint(weights=weights, config=config, tensors=tensors), IGNORED)
    genes = read_genes(
        folder,
        settings.take("species", "mouse" if settings.organism == "mouse" else "human"),
        tensors[TABLE],
        proteins=settings.take("protein_embeddings", ""),
        chromosome_offset=settings.take("chrom_token_offset", -1),
        drop_unplaced=settings.take("unplaced_genes", "refuse", ("refuse", "drop")) == "drop",
    )
    return UCE(module, genes, weights, settings, seed)
