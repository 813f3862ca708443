"""Controls: a model without what its training, its genes' embeddings or the cells' values give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from layerscope.chance import STRIDE, Chance, mixed
from layerscope.errors import ConfigError
from layerscope.models.base import CellBlock, FoundationModel
from layerscope.models.catalogue import CONTROLS

VALUES_PERMUTED = "values_permuted"


def apply_control(model: FoundationModel, control: str, seed: int) -> None:
    """Turn a model into one of its controls.

    Parameters
    ----------
    model
        Changed in place; still float32 and on the CPU.
    control
        ``"untrained"``: all weights drawn anew by the architecture's own initialisation, the tokens and the
        number of layers staying what they are. ``"gene_permuted"``: the trained weights, with the embeddings
        of gene identity dealt out to the genes at random; special tokens and values keep theirs.
        ``"values_permuted"``: nothing of the model; its cells go through :func:`permute_values`.
    seed
        Of the draw.

    Raises
    ------
    ConfigError
        If there is no such control.
    """
    if control == "untrained":
        model.initialise(seed)
    elif control == "gene_permuted":
        table, rows = model.gene_table()
        dealt = np.random.default_rng([seed, len(rows)]).permutation(rows)
        with torch.no_grad():
            table[torch.from_numpy(rows)] = table[torch.from_numpy(dealt)].clone()
    elif control != VALUES_PERMUTED:
        raise ConfigError(f"control {control!r} is not known; choose one of {', '.join(CONTROLS)}")


def permute_values(block: CellBlock, seed: int) -> CellBlock:
    """Deal the values of each cell out among the genes that it expresses: an ablation of the input.

    Which genes a cell expresses stays, and so do its values taken together and its total; which gene has
    which value is chance. What a layer still tells of the cell, it has from the set of expressed genes and
    from the depth of sequencing, not from how strongly a gene is expressed.

    Parameters
    ----------
    block
        Cells over the model's vocabulary.
    seed
        With the cell's id it decides the permutation: neither the other cells of the block nor the order of
        the file's columns do.

    Returns
    -------
    The block with other ``values``; everything else is shared with ``block``.
    """
    cells = np.repeat(np.arange(len(block.cell_ids)), np.diff(block.offsets))
    of_cell = Chance(seed, block.cell_ids).keys(0)
    with np.errstate(over="ignore"):
        keys = mixed(of_cell[cells] + block.genes.astype(np.uint64) * STRIDE)
    return replace(block, values=block.values[np.lexsort((keys, cells))])
