"""Tahoe-X1: a cell's tokens, and its vectors at each layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from layerscope.chance import cell_generator
from layerscope.errors import ConfigError, DataError, ModelError
from layerscope.models.base import CellBlock, Integers, TokenBatch
from layerscope.models.binned import BinnedModel
from layerscope.models.settings import Settings
from layerscope.models.tahoe_x1_files import COLLATOR_CONFIG, DRUG, IGNORED, Release, read_release
from layerscope.models.tahoe_x1_network import TahoeX1Encoder
from layerscope.models.transformer import first_token
from layerscope.models.weights import demand_bins, load_network, read_json, reading

NO_DRUG, DRUG_LIST = "<pad>", "drug_to_id_pad.json"


class TahoeX1(BinnedModel):
    """A Tahoe-X1 checkpoint of any size."""

    family = "tahoe_x1"
    official_pooling = "after the final norm: cell token, divided by its L2 norm"
    module: TahoeX1Encoder

    def __init__(
        self, module: TahoeX1Encoder, release: Release, folder: Path, settings: Settings, seed: int
    ) -> None:
        super().__init__(module, release, folder, module.config.hidden_size)
        self.seed = seed
        collator = release.collator
        with reading(folder / COLLATOR_CONFIG, "a collator's configuration"):
            self.cell_value = float(collator["pad_value"])
            self.n_edges = demand_bins(int(collator["num_bins"])) - 1
            self.max_length = settings.take("max_length", int(collator["max_length"]))
            self.draws_genes = bool(collator.get("sampling", True))
        if not collator.get("do_binning", True) or collator.get("right_binning", False):
            raise ModelError(f"{folder / COLLATOR_CONFIG}: asks for other bins than this tokeniser makes")
        self.chemistry = settings.take("chemistry", False)
        self.drug_column = settings.take("drug_column", "drug")
        listed = collator.get("drug_to_id_path") or DRUG_LIST
        if isinstance(listed, Mapping):
            listed = listed.get("local") or DRUG_LIST
        drug_list = settings.take("drug_list", str(listed))
        if self.chemistry:
            if module.config.chemistry is None or DRUG not in release.tokens:
                raise ConfigError(
                    f"{folder}: this checkpoint has no encoder of drugs; leave --set chemistry=on out"
                )
            self.opening = (*self.opening, release.tokens[DRUG])
            self.drugs = _read_drugs(folder / drug_list, module.config.chemistry.n_drugs)
            self.obs_columns = (self.drug_column,)
        n_special = len(self.opening)
        n_unbinned = settings.take("keep_first_n_tokens", n_special)
        self.n_escaping = n_unbinned - n_special
        if self.max_length <= n_special or self.n_escaping < 0:
            raise ConfigError(
                f"{folder / COLLATOR_CONFIG}, --set: max_length={self.max_length}, "
                f"keep_first_n_tokens={n_unbinned}; they must leave room for {n_special} special "
                "tokens and a gene"
            )
        self.settings = settings.resolved(without=("trust_sha256", "drug_list"))

    def _cell(self, block: CellBlock, cell: int, room: int) -> tuple[Integers, npt.NDArray[np.float32]]:
        entries = block.entries(cell)
        genes = block.genes[entries]
        bins = self._binned(block.values[entries].astype(np.float32), block.gene_columns[genes])
        if len(genes) <= room:
            return genes, bins
        subset = self._subset(block, cell, genes, room)
        return genes[subset], bins[subset]

    def _subset(self, block: CellBlock, cell: int, genes: Integers, room: int) -> Integers:
        """Which genes a long cell keeps: drawn ones, or those of the file's first columns."""
        if self.draws_genes:
            draw = cell_generator(self.seed, block.cell_ids[cell])
            return np.sort(draw.choice(len(genes), room, replace=False))
        return np.sort(np.argsort(block.gene_columns[genes], kind="stable")[:room])

    def _binned(self, raw: npt.NDArray[np.float32], columns: Integers) -> npt.NDArray[np.float32]:
        """Bins of a cell's values; those of its first genes in the file's order may escape.

        The owners' code without chemistry, on a checkpoint that has it, leaves the first gene its raw count.
        """
        if self.n_escaping == 0:
            return binned(as_counts(raw), self.n_edges)
        first = np.argsort(columns, kind="stable")[: self.n_escaping]
        rest = np.setdiff1d(np.arange(len(raw)), first)
        out = raw.copy()
        if len(rest):
            out[rest] = binned(as_counts(raw[rest]), self.n_edges)
        return out

    def _of_cells(self, block: CellBlock) -> dict[str, Integers]:
        if not self.chemistry:
            return {}
        names = [str(name) or NO_DRUG for name in block.obs[self.drug_column]]
        unknown = sorted(set(names) - set(self.drugs))
        if unknown:
            raise DataError(
                f"obs[{self.drug_column!r}] (--set drug_column): the model knows no drug {unknown[0]!r}; it "
                f"knows {', '.join(list(self.drugs)[:5])}, ..."
            )
        return {"drug": np.array([self.drugs[name] for name in names], dtype=np.int64)}

    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        cell = first_token(hidden, batch)
        return functional.normalize(self.module.transformer_encoder["norm"](cell), dim=1)

    def gene_table(self) -> tuple[Tensor, Integers]:
        return self.module.gene_encoder.embedding.weight, self.gene_ids


def _read_drugs(path: Path, n_drugs: int) -> dict[str, int]:
    drugs = read_json(path, "the list of drugs")
    for name, row in drugs.items():
        if type(row) is not int or not 0 <= row < n_drugs:
            raise ModelError(
                f"{path}: {name!r} is drug {row!r}, but the checkpoint has the drugs 0 to {n_drugs - 1}"
            )
    return drugs


def as_counts(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Values whose bins stand for those of the counts they were made from, as far as floating point allows.

    In exact arithmetic bins depend on ranks alone. In the float32 arithmetic of the owners' code a value that
    lies on an edge can fall on either side of it, by its size. Whole numbers are therefore left as they are
    and binned to the bit as the owners do. Other values, if some of them tie as those of counts do, are
    replaced by their ranks among the distinct ones: every monotone transform of a cell then gives the same
    bins. They are the bins of its counts, but for a rounding on an edge: in simulations none of 20,000 cells
    of 60 to 2,000 genes, and about 1 in 1,000 cells of fewer genes, differed in a bin.
    """
    if (values == np.rint(values)).all():
        return values
    distinct, rank = np.unique(values, return_inverse=True)
    return values if len(distinct) == len(values) else (rank + 1).astype(np.float32)


def binned(values: npt.NDArray[np.float32], n_edges: int) -> npt.NDArray[np.float32]:
    """Bin a cell's values by the quantiles of the cell itself, bit for bit as the owners' code.

    The edges are ``torch.quantile(values, linspace(0, 1, n_edges))``: linear interpolation in float32, from
    the nearer neighbour. The bin of a value, 1 to ``n_edges``, is one more than the number of edges below it.
    """
    ordered = np.sort(values)
    rank = quantiles(n_edges) * np.float32(len(values) - 1)
    low, high = np.floor(rank), np.ceil(rank)
    weight = rank - low
    below, above = ordered[low.astype(np.int64)], ordered[high.astype(np.int64)]
    step = above - below
    edges = np.where(weight < 0.5, below + weight * step, above - step * (1 - weight))
    return (np.searchsorted(edges, values, side="left") + 1).astype(np.float32)


def quantiles(n: int) -> npt.NDArray[np.float32]:
    """``torch.linspace(0, 1, n)`` as a processor with fused multiply-add rounds it, on every processor."""
    if n == 1:
        return np.zeros(1, dtype=np.float32)
    step, place = float(np.float32(1) / np.float32(n - 1)), np.arange(n)
    return np.where(place < n // 2, place * step, 1 - step * (n - 1 - place)).astype(np.float32)


def load(folder: Path, settings: Settings, seed: int = 0) -> TahoeX1:
    """Load a release folder; see ``catalogue.implementation``."""
    release = read_release(folder, trusted_sha256=settings.take("trust_sha256", ""))
    module = load_network(TahoeX1Encoder, release, IGNORED)
    return TahoeX1(module, release, folder, settings, seed)
