"""scFoundation: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layerscope.errors import ConfigError, ModelError
from layerscope.models.base import CellBlock, FoundationModel, Integers, Sentences, TokenBatch
from layerscope.models.ragged import offsets_of
from layerscope.models.scfoundation_files import GENE_LIST, IGNORED, SUBMODELS, read_gene_list, read_submodel
from layerscope.models.scfoundation_network import ScFoundationEncoder
from layerscope.models.settings import Settings
from layerscope.models.transformer import gathered, reduced
from layerscope.models.vocabulary import Vocabulary, refusals
from layerscope.models.weights import load_network

NORMALISED_TOTAL = 1e4


class ScFoundation(FoundationModel):
    """One sub-model of a scFoundation checkpoint."""

    family = "scfoundation"
    poolings = ("total_count_token", "resolution_token", "mean_genes", "max_genes", "mean", "max", "official")
    default_pooling = "total_count_token"
    module: ScFoundationEncoder

    def __init__(
        self, module: ScFoundationEncoder, vocabulary: Vocabulary, weights: Path, settings: Settings
    ) -> None:
        super().__init__(module, vocabulary, weights, module.config.hidden_size)
        self.pre_normalized = settings.take("pre_normalized", "", ("", "F", "T", "A"))
        self.resolution, self.resolution_value = _resolution(settings.take("tgthighres", "t4"))
        self.total_offset = settings.take("total_offset", 0.0)
        self.total_column = settings.take("total_column", "total_counts")
        self.official_kind = settings.take("official", "all", ("all", "max"))
        self.official_pooling = {
            "all": "after the final norm: total-count token, resolution token, maximum and mean over genes",
            "max": "after the final norm: maximum over all tokens",
        }[self.official_kind]
        self.accepts = {"F": ("counts",), "": ("counts", "log_normalised")}.get(
            self.pre_normalized, ("log_normalised",)
        )
        self.obs_columns = (self.total_column,) if self.pre_normalized == "A" else ()
        self.settings = settings.resolved(without=("trust_sha256", "gene_list"))

    def tokenise(self, block: CellBlock) -> Sentences:
        """Values of the expressed genes in the order of the vocabulary, then T, then S, those above zero.

        A cell is refused where T or S would be dropped (a total of 1 or less) and where it expresses no gene
        of the vocabulary: the owners' code fails there.
        """
        n_cells, config, cells = block.n_cells, self.module.config, block.cells
        known = np.bincount(cells, weights=block.values, minlength=n_cells)
        total = block.obs[self.total_column].astype(np.float64) if self.pre_normalized == "A" else known
        flag = self.pre_normalized or ("T" if block.log_normalised else "F")
        values = np.log1p(block.values / total[cells] * NORMALISED_TOTAL) if flag == "F" else block.values
        with np.errstate(divide="ignore"):
            total_count = np.log10(total + self.total_offset)
            resolution = {
                "t": np.full(n_cells, self.resolution_value),
                "f": np.log10(total * self.resolution_value),
                "a": total_count + self.resolution_value,
            }[self.resolution]
        ids = np.zeros(len(values) + 2 * n_cells, dtype=np.int64)
        expression = np.zeros(len(ids))
        place = np.arange(len(values)) + 2 * cells
        ids[place], expression[place] = block.genes, values
        last = block.offsets[1:] + 2 * np.arange(1, n_cells + 1) - 1
        ids[last - 1], expression[last - 1] = config.resolution_id, resolution
        ids[last], expression[last] = config.total_count_id, total_count
        positive = expression > 0
        offsets = offsets_of(positive)[np.concatenate([[0], last + 1])]
        lengths, has_resolution, has_total = np.diff(offsets), positive[last - 1], positive[last]
        refused = [
            reason or _refusal(*values)
            for reason, *values in zip(refusals(block.n_genes), resolution, total_count, strict=True)
        ]
        return Sentences(
            offsets=offsets,
            tokens={"ids": ids[positive], "values": expression[positive].astype(np.float32)},
            cells={
                "resolution": np.where(has_resolution, lengths - 1 - has_total, -1),
                "total_count": np.where(has_total, lengths - 1, -1),
                "n_genes": lengths - has_resolution - has_total,
            },
            refused=refused,
            shortened=np.zeros(n_cells, dtype=bool),
        )

    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        self.demand_pooling(pooling)
        match pooling:
            case "total_count_token":
                return gathered(hidden, batch, batch.cells["total_count"])
            case "resolution_token":
                return gathered(hidden, batch, batch.cells["resolution"])
            case "mean_genes" | "max_genes":
                how = pooling.removesuffix("_genes")
                return reduced(hidden, batch, how, last=batch.cells["n_genes"])
            case "official":
                parts = ("total_count_token", "resolution_token", "max_genes", "mean_genes")
                return torch.cat([self.pool(hidden, batch, part) for part in parts], dim=1)
        return reduced(hidden, batch, pooling)

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        pooling = {"all": "official", "max": "max"}[self.official_kind]
        return self.pool(self.module.final(hidden), batch, pooling)

    def widths(self, pooling: str) -> tuple[int, int]:
        four = 4 * self.hidden_size
        return (
            four if pooling == "official" else self.hidden_size,
            four if self.official_kind == "all" else self.hidden_size,
        )

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.pos_emb.weight, np.arange(self.module.config.n_genes)


def _resolution(text: str) -> tuple[str, float]:
    """Read the owners' ``tgthighres``: a letter and a number."""
    try:
        kind, value = text[:1], float(text[1:])
    except ValueError:
        kind, value = "", 0.0
    if kind not in ("t", "f", "a") or not 0 < value < np.inf:
        raise ConfigError(f"--set tgthighres={text}: expected t4, f2, a5 or the like")
    return kind, value


def _refusal(resolution: float, total_count: float) -> str:
    if not total_count > 0:
        return "its total count is 1 or less, so that the total-count token does not exist"
    if not resolution > 0:
        return "the resolution token is not above zero, so that it does not exist"
    return ""


def load(folder: Path, settings: Settings, seed: int = 0) -> ScFoundation:
    """Load a sub-model of the owners' release; see ``catalogue.implementation``."""
    submodel = settings.take("submodel", SUBMODELS[0], SUBMODELS)
    checkpoint = read_submodel(folder, submodel, settings.take("trust_sha256", ""))
    genes, weights = read_gene_list(folder / settings.take("gene_list", GENE_LIST)), checkpoint.weights
    if len(genes.genes) != checkpoint.config.n_genes:
        raise ModelError(
            f"{genes.source}: {len(genes.genes)} genes, but {weights} has positions for "
            f"{checkpoint.config.n_genes}; name the checkpoint's own list with --set gene_list=FILE"
        )
    module = load_network(ScFoundationEncoder, checkpoint, IGNORED)
    return ScFoundation(module, genes, weights, settings)
