"""Nicheformer: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from layerscope.errors import ConfigError, DataError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.nicheformer_files import IGNORED, N_CONTEXT, PREFIX, Release, read_release
from layerscope.models.nicheformer_network import NicheformerEncoder
from layerscope.models.ragged import offsets_of, order_within, runs
from layerscope.models.settings import Settings
from layerscope.models.transformer import reduced
from layerscope.models.vocabulary import Vocabulary, refusals
from layerscope.models.weights import load_network

log = logging.getLogger(__name__)

MEANS = ("trained", "github", "hf", "hf_nomean")
NOTHING_TO_ATTEND_TO = "has neither a known gene nor a known species, assay or modality"
SMALLEST_MEAN = 1e-6  # of the tokeniser on Hugging Face
UNKNOWN, SPATIAL = 0, 4
# the first three tokens of a sentence, in this order: ids of the owners' code; no file is read for them
CONTEXT: Mapping[str, Mapping[str, int]] = {
    "specie": {"human": 5, "homo_sapiens": 5, "mouse": 6, "mus_musculus": 6},
    "assay": {
        "merfish": 7,
        "cosmx": 8,
        "nanostring_digital_spatial_profiling": 8,
        "xenium": 9,
        "10x_5_v2": 10,
        "10x_3_v3": 11,
        "10x_3_v2": 12,
        "10x_5_v1": 13,
        "10x_3_v1": 14,
        "10x_3_transcription_profiling": 15,
        "10x_transcription_profiling": 15,
        "10x_5_transcription_profiling": 16,
        "cite_seq": 17,
        "smart_seq_v4": 18,
    },
    "modality": {"dissociated": 3, "spatial": SPATIAL},
}


class Nicheformer(FoundationModel):
    """A Nicheformer checkpoint."""

    family = "nicheformer"
    poolings = ("official", "mean", "mean_genes")
    default_pooling = "official"
    official_pooling = "last layer: mean over genes and filling"
    accepts = ("counts",)
    takes_fractions = True
    module: NicheformerEncoder

    def __init__(self, module: NicheformerEncoder, release: Release, means: str, settings: Settings) -> None:
        vocabulary = Vocabulary(tuple(release.genes), str(release.source))
        super().__init__(module, vocabulary, release.weights, module.config.hidden_size)
        self.special_tokens = release.special
        self.gene_ids = np.array(list(release.genes.values()), dtype=np.int64)
        self.technology = release.technology
        self.divisors = divisors(release.means, means, len(self.gene_ids))
        self.never_measured = np.flatnonzero(np.isnan(self.divisors))
        self.n_positions = module.config.n_positions
        # the Hub's tokeniser fills with 0, whatever its vocabulary calls padding and hides
        on_hub = means.startswith("hf")
        self.filling_id, self.hidden_id = (0, release.special.get("[PAD]", 0)) if on_hub else (1, 1)
        self.fills = settings.take("filling", True)
        self.min_genes = settings.take("min_expressed_genes", 1, lowest=0)
        if not self.fills:
            self.official_pooling = "last layer: mean over genes"
            if self.filling_id != self.hidden_id:
                raise ConfigError(
                    f"--set filling=false: by means={means} genes attend to the filling, since [PAD] of this "
                    f"release is {self.hidden_id} and not 0; leave it in"
                )
        self.stated = {slot: stated_token(slot, settings) for slot in CONTEXT}
        self.columns = {slot: settings.take(f"{slot}_column", slot) for slot in CONTEXT}
        self.obs_columns = tuple(name for slot, name in self.columns.items() if name != slot)
        self.optional_obs_columns = {
            slot: "" if self.stated[slot] else f"no {slot}: name that of all cells with --set {slot}=NAME"
            for slot, name in self.columns.items()
            if name == slot
        }
        self.settings = settings.resolved(without=("trust_sha256", "checkpoint"))
        self._warned: set[str] = set()

    def tokenise(self, block: CellBlock) -> Sentences:
        """Species, assay, modality; the genes by falling count / mean, ties by token; then the filling.

        A long cell keeps the genes of highest rank. A cell of fewer expressed genes than
        ``min_expressed_genes`` is refused, and one in whose sentence nothing may be attended to.
        """
        genes, n_genes = self._ranked(block)
        filled = np.full(block.n_cells, self.n_positions)
        lengths = filled if self.fills else N_CONTEXT + n_genes
        offsets = offsets_of(lengths)
        ids = np.full(offsets[-1], self.filling_id, dtype=np.int64)
        ids[offsets[:-1, None] + np.arange(N_CONTEXT)] = self._context(block)
        ids[runs(offsets[:-1] + N_CONTEXT, n_genes)] = self.gene_ids[genes]
        attended = ids != self.hidden_id
        n_attended = np.add.reduceat(attended, offsets[:-1], dtype=np.int64) if len(ids) else n_genes
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids, "positions": runs(0 * lengths, lengths), "attended": attended},
            cells={"n_genes": n_genes},
            refused=[
                reason or ("" if n else NOTHING_TO_ATTEND_TO)
                for reason, n in zip(refusals(block.n_genes, self.min_genes), n_attended, strict=True)
            ],
            shortened=block.n_genes > self.n_positions - N_CONTEXT,
        )

    def _ranked(self, block: CellBlock) -> tuple[Integers, Integers]:
        """The genes of the cells' sentences, cell after cell, and how many each has.

        Genes that the technology never measured follow all others, expressed or not, as NaN does in the
        owners' code.
        """
        room = self.n_positions - N_CONTEXT
        measured = ~np.isnan(self.divisors[block.genes])
        cells, genes = block.cells[measured], block.genes[measured]
        counts = np.bincount(cells, minlength=block.n_cells)
        offsets = offsets_of(counts)
        order = order_within(offsets, -block.values[measured] / self.divisors[genes])
        n_measured = np.minimum(counts, room)
        n_genes = np.minimum(counts + len(self.never_measured), room)
        starts, n_others = offsets_of(n_genes)[:-1], n_genes - n_measured
        sentences = np.empty(n_genes.sum(), dtype=np.int64)
        sentences[runs(starts, n_measured)] = genes[order[runs(offsets[:-1], n_measured)]]
        others = runs(0 * n_others, n_others)
        sentences[runs(starts + n_measured, n_others)] = self.never_measured[others]
        return sentences, n_genes

    def _context(self, block: CellBlock) -> Integers:
        """Tokens of each cell's species, assay and modality, ``(n_cells, 3)``; padding where not known."""
        tokens = np.full((block.n_cells, N_CONTEXT), UNKNOWN, dtype=np.int64)
        for place, (slot, column) in enumerate(self.columns.items()):
            if column in block.obs:
                tokens[:, place] = self._of_column(slot, column, block.obs[column])
            stated = self.stated[slot]
            if stated and not np.isin(tokens[:, place], (UNKNOWN, stated)).all():
                raise DataError(
                    f"obs[{column!r}] names another {slot} than --set {slot}= does; leave one of them out"
                )
            tokens[tokens[:, place] == UNKNOWN, place] = stated
        if self.technology == "dissociated" and (tokens == SPATIAL).any():
            self._warn(
                "spatial cells are divided by means of dissociated ones; name theirs with --set technology="
            )
        return np.where(tokens == UNKNOWN, self.hidden_id, tokens)

    def _of_column(self, slot: str, column: str, values: npt.NDArray[Any]) -> Integers:
        """Tokens of a column's values; what the model does not know is told once."""
        names, place = np.unique(values.astype(str), return_inverse=True)
        tokens = np.array([token_of(slot, name) for name in names], dtype=np.int64)
        for name in names[tokens == UNKNOWN].tolist():
            self._warn(f"obs[{column!r}]: {name!r} is no {slot} that the model knows: such cells have none")
        return tokens[place]

    def _warn(self, text: str) -> None:
        """Say it once."""
        if text not in self._warned:
            log.warning("%s", text)
            self._warned.add(text)

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        match pooling:
            case "official":
                return reduced(hidden, batch, "mean", first=N_CONTEXT)
            case "mean_genes":
                last = N_CONTEXT + batch.cells["n_genes"]
                return reduced(hidden, batch, "mean", first=N_CONTEXT, last=last)
        return reduced(hidden, batch, pooling)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        return self.pool(hidden, batch, "official")

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.embeddings.weight, self.gene_ids


def divisors(means: npt.NDArray[np.float64] | None, way: str, n_genes: int) -> npt.NDArray[np.float64]:
    """What the counts of each gene are divided by; NaN for genes that become tokens whatever their count.

    ``trained`` as before pretraining: NaN is 0, rounded half up, 0 is 1. ``github``: as the file has them.
    ``hf``: cut from below. Without means: 1.
    """
    if means is None:
        return np.ones(n_genes)
    if way == "hf":
        return np.maximum(means, SMALLEST_MEAN)
    if way == "github":
        return means
    whole = np.floor(means)
    rounded = np.nan_to_num(whole + (means - whole >= 0.5))
    return np.where(rounded == 0, 1.0, rounded)


def token_of(slot: str, name: str) -> int:
    """The token of a species, assay or modality by its name, in any spelling, or number."""
    if re.fullmatch(r"\d+(\.0*)?", name):
        return int(float(name)) if int(float(name)) in CONTEXT[slot].values() else UNKNOWN
    return CONTEXT[slot].get(re.sub("[^a-z0-9]+", "_", name.lower()).strip("_"), UNKNOWN)


def stated_token(slot: str, settings: Settings) -> int:
    """The token that a setting gives all cells; :data:`UNKNOWN` where it is not set."""
    name = settings.take(slot, "")
    token = token_of(slot, name) if name else UNKNOWN
    if name and token == UNKNOWN:
        raise ConfigError(f"--set {slot}={name!r}; choose one of {', '.join(CONTEXT[slot])}")
    return token


def load(folder: Path, settings: Settings, seed: int = 0) -> Nicheformer:
    """Load a release folder; see ``catalogue.implementation``."""
    means = settings.take("means", MEANS[0], MEANS)
    technology = settings.take("technology", "dissociated")
    release = read_release(
        folder,
        checkpoint=settings.take("checkpoint", ""),
        technology="" if means == "hf_nomean" else technology,
        trusted_sha256=settings.take("trust_sha256", ""),
    )
    ignored = tuple(f"{prefix}{name}" for name in IGNORED for prefix in ("", PREFIX))
    module = load_network(
        NicheformerEncoder, release, ignored, stored_as=lambda name: (f"{release.prefix}{name}",)
    )
    return Nicheformer(module, release, means, settings)
