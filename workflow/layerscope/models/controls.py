"""Controls: a model without what its training, its genes' embeddings or the cells' values give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from layerscope.chance import STRIDE, Chance, cell_generator, mixed
from layerscope.errors import ConfigError, DataError
from layerscope.models.base import CellBlock, FoundationModel
from layerscope.models.catalogue import CONTROLS, THINNED
from layerscope.models.ragged import offsets_of

VALUES_PERMUTED = "values_permuted"
KEPT = 0.5
"""Share of a cell's molecules that thinning keeps, on average."""


def apply_control(model: FoundationModel, control: str, seed: int) -> None:
    """Turn a model, float32 and on the CPU, in place into a control; a ConfigError if there is no such.

    ``"untrained"``: all weights drawn anew by the architecture's own initialisation. ``"gene_permuted"``: the
    trained weights, with the embeddings of gene identity dealt out to the genes at random; special tokens
    keep theirs. Of :data:`CHANGES`, which change the cells, a model shows nothing.
    """
    if control == "untrained":
        model.initialise(seed)
    elif control == "gene_permuted":
        table, rows = model.gene_table()
        dealt = np.random.default_rng([seed, len(rows)]).permutation(rows)
        with torch.no_grad():
            table[torch.from_numpy(rows)] = table[torch.from_numpy(dealt)].clone()
    elif control not in CHANGES:
        raise ConfigError(f"control {control!r} is not known; choose one of {', '.join(CONTROLS)}")


def permute_values(block: CellBlock, seed: int) -> CellBlock:
    """Deal the values of each cell out among the genes that it expresses: an ablation of the input.

    Which genes a cell expresses stays, and its total: what a layer still tells of the cell, it has from the
    set of expressed genes and the depth of sequencing. The seed and the cell's id decide the permutation.
    """
    cells, of_cell = block.cells, Chance(seed, block.cell_ids).keys(0)
    with np.errstate(over="ignore"):
        keys = mixed(of_cell[cells] + block.genes.astype(np.uint64) * STRIDE)
    return replace(block, values=block.values[np.lexsort((keys, cells))])


def thin(block: CellBlock, seed: int) -> CellBlock:
    """Keep each molecule of a cell with a probability of a half: a view of the cell at half the depth.

    The seed and the cell's id decide which. A DataError if the values are not counts.
    """
    known = np.bincount(block.cells, weights=block.values, minlength=block.n_cells)
    unknown = block.totals - known  # molecules of genes that the model does not know
    if block.log_normalised or (block.values % 1).any() or (unknown % 1).any():
        raise DataError(
            f"control {THINNED!r} draws molecules, so it needs whole counts; those of cells such as "
            f"{block.cell_ids[0]!r} are not. Leave the control out, or name the matrix of raw counts"
        )
    values, totals = np.empty_like(block.values), np.empty_like(block.totals)
    for cell, name in enumerate(block.cell_ids):
        chance, own = cell_generator(seed, name), block.entries(cell)
        values[own] = chance.binomial(block.values[own].astype(np.int64), KEPT)
        totals[cell] = values[own].sum() + chance.binomial(int(unknown[cell]), KEPT)
    left = values > 0
    lengths = np.bincount(block.cells[left], minlength=block.n_cells)
    return replace(
        block, offsets=offsets_of(lengths), genes=block.genes[left], values=values[left], totals=totals
    )


CHANGES: Mapping[str, Callable[[CellBlock, int], CellBlock]] = {
    VALUES_PERMUTED: permute_values,
    THINNED: thin,
}
"""Controls that change the cells and nothing of the model, by a seed."""
