"""TranscriptFormer: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of, order_within, runs
from layerscope.models.settings import Settings
from layerscope.models.transcriptformer_files import IGNORED, START, Release, read_release
from layerscope.models.transcriptformer_network import TranscriptFormerEncoder, stored_as
from layerscope.models.transformer import reduced
from layerscope.models.vocabulary import Vocabulary, refusals
from layerscope.models.weights import load_network


class TranscriptFormer(FoundationModel):
    """A TranscriptFormer checkpoint of any size and set of species."""

    family = "transcriptformer"
    poolings = ("official", "mean", "mean_genes", "max")
    default_pooling = "official"
    official_pooling = "last layer: sum over start token and genes, divided by the length limit"
    accepts = ("counts",)
    takes_fractions = True
    module: TranscriptFormerEncoder

    def __init__(self, module: TranscriptFormerEncoder, release: Release, settings: Settings) -> None:
        vocabulary = Vocabulary(release.genes, release.source)
        super().__init__(module, vocabulary, release.weights, module.config.hidden_size)
        self.release = release
        self.special_tokens = {token: place for place, token in enumerate(release.special)}
        self.first_gene = len(release.special)
        self.start, self.pad = (release.special.index(token) for token in (START, release.pad))
        self.n_assay_tokens = 1 if release.assays else 0
        self.gene_order = settings.take("gene_order", "columns", ("columns", "vocabulary"))
        self.clip_counts = settings.take("clip_counts", release.clip_counts, lowest=0)
        self.min_genes = settings.take("min_expressed_genes", release.min_genes, lowest=0)
        self.assay = settings.take("assay", "", ("", *release.assays))
        column = settings.take("assay_column", "")
        self.assay_column = column or module.config.assay_column
        if self.assay and column:
            raise ConfigError(
                f"--set assay={self.assay} assay_column={column}: the first names that of all cells, the "
                "second a column; give one"
            )
        wanted = (self.assay_column,) if release.assays and not self.assay else ()
        self.obs_columns = wanted if column else ()
        self.optional_obs_columns = {} if column else dict.fromkeys(wanted, "an unknown assay")
        self.settings = settings.resolved(without=("trust_sha256",))

    def tokenise(self, block: CellBlock) -> Sentences:
        """The assay, the start token, then the cell's genes; the last is left out where there are too many.

        The owners shift a sentence of at most ``seq_len`` genes by the start token, so that one gene less is
        read. Neighbours and padding change nothing; nothing is drawn at random.
        """
        front, room = self.n_assay_tokens + 1, self.release.length - 1
        n_genes = np.minimum(block.n_genes, room)
        by = block.gene_columns if self.gene_order == "columns" else np.arange(len(block.gene_columns))
        order = order_within(block.offsets, by[block.genes])[runs(block.offsets[:-1], n_genes)]
        offsets = offsets_of(front + n_genes)
        ids = np.full(offsets[-1], self.pad, dtype=np.int64)
        counts = np.ones(len(ids), dtype=np.float32)
        ids[offsets[:-1] + front - 1] = self.start
        place = runs(offsets[:-1] + front, n_genes)
        ids[place] = self.first_gene + block.genes[order]
        counts[place] = np.minimum(block.values[order].astype(np.float32), np.float32(self.clip_counts))
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "counts": counts},
            cells=self._assays(block) if self.n_assay_tokens else {},
            refused=refusals(block.n_genes, self.min_genes),
            shortened=block.n_genes > room,
        )

    def _assays(self, block: CellBlock) -> dict[str, np.ndarray]:
        """Row of each cell's assay, and whether it is known."""
        unknown = self.release.assays[self.release.unknown_assay]
        given = block.obs.get(self.assay_column)
        names = [self.assay or self.release.unknown_assay] * len(block.cell_ids) if given is None else given
        rows = np.array([self.release.assays.get(str(name), unknown) for name in names], dtype=np.int64)
        return {"assay": rows, "assay_known": rows != unknown}

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        first = self.n_assay_tokens
        match pooling:
            case "official":
                return reduced(hidden, batch, "sum", first=first) / self.release.length
            case "mean_genes":
                return reduced(hidden, batch, "mean", first=first + 1)
        return reduced(hidden, batch, pooling, first=first)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return self.pool(hidden, batch, "official")

    def gene_table(self) -> tuple[Tensor, Integers]:
        genes = self.first_gene + np.arange(len(self.vocabulary.genes))
        return self.module.gene_embeddings.embedding.rows, genes


def load(folder: Path, settings: Settings, seed: int = 0) -> TranscriptFormer:
    """Load a release folder; see ``catalogue.implementation``."""
    release = read_release(
        folder,
        trusted_sha256=settings.take("trust_sha256", ""),
        pretrained_embedding=settings.take("pretrained_embedding", ""),
    )
    module = load_network(TranscriptFormerEncoder, release, IGNORED, stored_as)
    return TranscriptFormer(module, release, settings)
