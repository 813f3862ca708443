"""Controls made of a trained model: the same code path, without what training or gene identity gave."""

from __future__ import annotations

import numpy as np
import torch

from layerscope.errors import ConfigError
from layerscope.models.base import FoundationModel
from layerscope.models.catalogue import CONTROLS


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
    else:
        raise ConfigError(f"control {control!r} is not known; choose one of {', '.join(CONTROLS)}")
