"""The contract between the models and the engine that runs them.

A model turns cells into ragged token sequences (NumPy, per cell, on any thread) and a *packed* batch of them
into the hidden states of every layer. Packed means that the tokens of all cells of a batch are the rows of
one matrix, cell after cell, without padding between them: ``hidden`` is ``[rows, hidden_size]`` and cell
``i`` owns the rows ``offsets[i]:offsets[i + 1]``. Linear layers and norms act on rows; only attention knows
of cells.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from layerscope.errors import ConfigError
from layerscope.models.ragged import Integers as Integers
from layerscope.models.ragged import offsets_of, runs
from layerscope.models.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class CellBlock:
    """Some cells, their genes named by position in a model's vocabulary (CSR without stored zeros).

    Attributes
    ----------
    cell_ids
        Names of the cells, which seed whatever a model draws at random for them.
    offsets
        Cell ``i`` owns the entries ``offsets[i]:offsets[i + 1]``, shape ``(n_cells + 1,)``.
    genes
        Index into ``Vocabulary.genes`` of each entry, ascending within a cell.
    values
        Expression of each entry, float64, above zero; columns that name one gene are summed.
    totals
        Sum of each cell over ALL columns of the file, known to the model or not, shape ``(n_cells,)``.
    gene_columns
        First column of the file that names each gene of the vocabulary, -1 where none does: for models whose
        sentence follows the order of the file.
    n_columns
        How many columns of the file name each gene of the vocabulary.
    obs
        The columns of ``obs`` that the model asked for, each of length ``n_cells``.
    log_normalised
        Whether the values are natural logarithms of normalised counts rather than counts.
    """

    cell_ids: Sequence[str]
    offsets: Integers
    genes: Integers
    values: npt.NDArray[np.float64]
    totals: npt.NDArray[np.float64]
    gene_columns: Integers
    n_columns: Integers
    obs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    log_normalised: bool = False

    @property
    def n_cells(self) -> int:
        return len(self.cell_ids)

    @property
    def n_genes(self) -> Integers:
        """Expressed genes of each cell."""
        return np.diff(self.offsets)

    @property
    def cells(self) -> Integers:
        """The cell of each entry."""
        return np.repeat(np.arange(self.n_cells), self.n_genes)

    def entries(self, cell: int) -> slice:
        """Where a cell's entries are."""
        return slice(int(self.offsets[cell]), int(self.offsets[cell + 1]))


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """Cells as ragged token sequences.

    Attributes
    ----------
    offsets
        Cell ``i`` owns the tokens ``offsets[i]:offsets[i + 1]``.
    tokens
        Columns with one number per token (``ids``, ``values``, ...); their names are the model's own, but for
        ``attended``: where that is, only tokens for which it is true are attended to, all of them otherwise.
    cells
        Columns with one number per cell (a drug, where a special token stands, ...).
    refused
        Per cell, why it cannot be represented; empty where it can. A refused cell may own no token.
    shortened
        Per cell, whether it lost tokens to the length limit.
    """

    offsets: Integers
    tokens: Mapping[str, npt.NDArray[Any]]
    cells: Mapping[str, npt.NDArray[Any]]
    refused: Sequence[str]
    shortened: npt.NDArray[np.bool_]

    @property
    def lengths(self) -> Integers:
        """Tokens per cell."""
        return np.diff(self.offsets)


class Span(NamedTuple):
    """Neighbouring cells of a batch that have the same number of tokens."""

    start: int
    n_cells: int
    length: int

    @property
    def rows(self) -> slice:
        """Their rows in the packed matrix."""
        return slice(self.start, self.start + self.n_cells * self.length)


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Cells packed for one forward pass.

    Attributes
    ----------
    tokens
        Columns with one entry per row of the packed matrix.
    cells
        Columns with one entry per cell.
    offsets
        As in :class:`Sentences`; on the host.
    ids
        The token column ``ids``, if there is one, on the host.
    attended
        The token column ``attended`` on the host; ``None`` where every token is attended to.
    """

    tokens: Mapping[str, Tensor]
    cells: Mapping[str, Tensor]
    offsets: Integers
    ids: Integers | None = None
    attended: npt.NDArray[np.bool_] | None = None

    @property
    def n_cells(self) -> int:
        return len(self.offsets) - 1

    @property
    def device(self) -> torch.device:
        return next(iter(self.tokens.values())).device

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Runs of neighbouring cells of one length: cells sorted by length make few of them."""
        lengths = np.diff(self.offsets)
        first = np.flatnonzero(np.r_[True, lengths[1:] != lengths[:-1]])
        last = np.r_[first[1:], len(lengths)]
        return tuple(
            Span(int(self.offsets[a]), int(b - a), int(lengths[a])) for a, b in zip(first, last, strict=True)
        )

    @cached_property
    def starts(self) -> Tensor:
        """First row of each cell, on the device, int64."""
        return self._sent(self.offsets[:-1].astype(np.int64))

    @cached_property
    def cumulative_lengths(self) -> Tensor:
        """``offsets`` on the device, int32, as variable-length attention kernels want it."""
        return self._sent(self.offsets.astype(np.int32))

    @cached_property
    def key_offsets(self) -> Integers:
        """Like ``offsets``, of the tokens that are attended to."""
        return self.offsets if self.attended is None else offsets_of(self.attended)[self.offsets]

    @cached_property
    def key_rows(self) -> Tensor:
        """The rows of the tokens that are attended to, where not all are."""
        assert self.attended is not None
        return self._sent(np.flatnonzero(self.attended))

    @cached_property
    def cumulative_keys(self) -> Tensor:
        """``key_offsets`` on the device, int32."""
        unmasked = self.attended is None
        return self.cumulative_lengths if unmasked else self._sent(self.key_offsets.astype(np.int32))

    @cached_property
    def distinct_ids(self) -> tuple[Tensor, Tensor]:
        """Each id of the batch once, ascending, and for every row the place of its id among them.

        They are found on the host: a device would have to be waited for to say how many there are.
        """
        ids, place = np.unique(self.tokens["ids"] if self.ids is None else self.ids, return_inverse=True)
        return self._sent(ids), self._sent(place)

    def _sent(self, numbers: Integers) -> Tensor:
        """Numbers on the device; their copy is not waited for."""
        return torch.from_numpy(numbers).to(self.device, non_blocking=True)


def pack(
    sentences: Sentences, cells: Integers | None = None, *, device: torch.device | str = "cpu"
) -> TokenBatch:
    """Pack cells of ``sentences`` by their indices, all of them by default, in that order into a batch.

    Each has at least one token. Integer columns become int64, floating columns float32.
    """
    chosen = np.arange(len(sentences.offsets) - 1) if cells is None else np.asarray(cells)
    starts, lengths = sentences.offsets[:-1][chosen], sentences.lengths[chosen]
    if len(chosen) == 0 or int(lengths.min()) == 0:
        raise ValueError("a batch holds at least one cell, and each of its cells at least one token")
    source = runs(starts, lengths)
    attended = sentences.tokens["attended"][source] if "attended" in sentences.tokens else None

    def tensor(column: npt.NDArray[Any]) -> Tensor:
        kind = np.float32 if np.issubdtype(column.dtype, np.floating) else np.int64
        numbers = column.astype(bool if column.dtype == bool else kind)
        return torch.from_numpy(numbers).to(device, non_blocking=True)

    return TokenBatch(
        tokens={name: tensor(column[source]) for name, column in sentences.tokens.items()},
        cells={name: tensor(column[chosen]) for name, column in sentences.cells.items()},
        offsets=offsets_of(lengths),
        ids=sentences.tokens["ids"][source] if "ids" in sentences.tokens else None,
        attended=None if attended is None or attended.all() else attended,
    )


class Network(nn.Module, ABC):
    """The network of a checkpoint; autograd works through every method.

    Attributes
    ----------
    stack_name
        Where among its parts the ``ModuleList`` of its blocks is.
    """

    stack_name: str = "blocks"

    @property
    def stack(self) -> nn.ModuleList:
        """The blocks, first to last."""
        return cast(nn.ModuleList, self.get_submodule(self.stack_name))

    @abstractmethod
    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        """Run the blocks once, yielding ``(layer, hidden)`` for layer 0 (their input) to the last.

        ``hidden`` is float32 of shape ``(n_rows, hidden_size)``; it may be overwritten after the next is
        asked for.
        """

    @abstractmethod
    def initialise(self, seed: int) -> None:
        """Draw all weights anew, as the architecture does before training."""

    @classmethod
    def fresh(cls, config: Any, seed: int) -> Self:
        """A network of these sizes on the CPU, float32, whose weights are drawn from the seed."""
        network = cls(config)
        network.initialise(seed)
        return network

    def final(self, hidden: Tensor) -> Tensor:
        """What the architecture does with the last block's output: nothing, unless it says otherwise."""
        return hidden

    def forward(self, batch: TokenBatch) -> Tensor:
        """What :meth:`final` makes of the last layer, ``(n_rows, hidden_size)``."""
        for _, hidden in self.layers(batch):
            last = hidden
        return self.final(last)

    def set_precision(self, dtype: torch.dtype) -> None:
        """Hold the weights of the blocks in ``dtype``, but for ``LayerNorm``; all else stays float32."""
        for part in self.stack.modules():
            if not isinstance(part, nn.LayerNorm):
                for weight in part.parameters(recurse=False):
                    weight.data = weight.data.to(dtype)


class FoundationModel(ABC):
    """A checkpoint that gives a representation of a cell at each of its layers.

    Attributes
    ----------
    family
        Name in :data:`layerscope.models.catalogue.FAMILIES`.
    module
        The network; the engine moves it to the device and sets its precision.
    vocabulary
        The genes that the model knows.
    n_layers, hidden_size
        Read from the checkpoint.
    poolings
        Names of the ways to make one vector of a cell's tokens at a numbered layer.
    default_pooling
        The one that the paper's released code uses.
    official_layer
        The numbered layer whose hidden states :meth:`official` starts from; the last unless it is set.
    official_pooling
        In words, what :meth:`official` does.
    accepts
        What the cells' values may be, as set up: ``"counts"``, ``"log_normalised"``.
    rank_based
        Whether tokens depend on the order of a cell's values alone, so that any monotone transform will do.
    takes_fractions
        Whether counts need not be whole, as those that were corrected or scaled; logarithms are refused.
    obs_columns, optional_obs_columns
        Columns of ``obs`` that :meth:`tokenise` needs, and those that it uses where they are there, each with
        what it takes without, which is warned of; empty where that was chosen.
    special_tokens
        Tokens that are no genes, and their ids, where the release names them.
    weights
        The file that the weights were read from.
    settings
        The model's settings as resolved, for the provenance.
    """

    family: str
    module: Network
    vocabulary: Vocabulary
    n_layers: int
    hidden_size: int
    poolings: tuple[str, ...]
    default_pooling: str
    official_layer: int
    official_pooling: str
    accepts: tuple[str, ...]
    rank_based: bool = False
    takes_fractions: bool = False
    obs_columns: tuple[str, ...] = ()
    optional_obs_columns: Mapping[str, str] = MappingProxyType({})
    special_tokens: Mapping[str, int] = MappingProxyType({})
    weights: Path
    settings: Mapping[str, Any]

    def __init__(self, module: Network, vocabulary: Vocabulary, weights: Path, hidden_size: int) -> None:
        self.module, self.vocabulary, self.weights = module, vocabulary, weights
        self.n_layers = self.official_layer = len(module.stack)
        self.hidden_size = hidden_size

    @abstractmethod
    def tokenise(self, block: CellBlock) -> Sentences:
        """Turn cells into tokens, each by itself; what is random comes from the seed and the cell's id."""

    @abstractmethod
    def pool(self, hidden: Tensor, batch: TokenBatch, pooling: str) -> Tensor:
        """One float32 vector per cell, shape ``(n_cells, width)``; NaN where it does not exist for a cell."""

    @abstractmethod
    def official(self, hidden: Tensor, batch: TokenBatch) -> Tensor:
        """The cell embedding that the model's owners publish, from the states of layer ``official_layer``."""

    def widths(self, pooling: str) -> tuple[int, int]:
        """Width of what :meth:`pool` gives by that pooling, and of what :meth:`official` gives."""
        return self.hidden_size, self.hidden_size

    @abstractmethod
    def gene_table(self) -> tuple[Tensor, Integers]:
        """The embedding table of gene identity, and the row of each gene of the vocabulary in it.

        The ``gene_permuted`` control permutes these rows. What marks special tokens, padding or values is not
        among them.
        """

    def layers(self, batch: TokenBatch) -> Iterator[tuple[int, Tensor]]:
        """The network's layers, ``(0, hidden)`` to ``(n_layers, hidden)``: see :meth:`Network.layers`."""
        return self.module.layers(batch)

    def set_precision(self, dtype: torch.dtype) -> None:
        """Hold the blocks' matrices in ``dtype``; norms, the residual stream and pooling stay float32."""
        self.module.set_precision(dtype)

    def initialise(self, seed: int) -> None:
        """Draw all weights anew, as the architecture does before training (the ``untrained`` control)."""
        self.module.initialise(seed)

    def demand_pooling(self, pooling: str) -> None:
        """Raise ConfigError where :meth:`pool` is asked for what there is not."""
        if pooling not in self.poolings:
            choices = ", ".join(self.poolings)
            raise ConfigError(f"--pooling: {self.family} has no pooling {pooling!r}; choose one of {choices}")
