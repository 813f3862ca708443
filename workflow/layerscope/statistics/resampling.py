"""Random draws that are the same for every layer and model of a condition, whatever runs first.

A draw depends on the seed, on what it is for, and on the SET of items, each known by its name: not on their
order, nor on which of them a layer can use. So resample ``i`` means the same cells (or perturbations) in
every score file of a condition, and differences between layers are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Floats
from layerscope.chance import generator

BLOCK_VALUES = 4_000_000
"""Counts held at once while resamples are walked through in blocks."""


def bootstrap_counts(seed: int, items: Sequence[str], n_resamples: int) -> Iterator[npt.NDArray[np.int32]]:
    """Yield how often each item is drawn in each bootstrap resample, in blocks of consecutive resamples.

    Shape ``(n_resamples_of_block, n_items)``; the blocks' size bounds the memory and changes nothing else.
    """
    n_items = len(items)
    columns = np.argsort(np.asarray(items, dtype=np.str_), kind="stable")
    random = generator(seed, items, "bootstrap")
    block = max(1, BLOCK_VALUES // max(n_items, 1))
    for start in range(0, n_resamples, block):
        counts = np.empty((min(block, n_resamples - start), n_items), dtype=np.int32)
        for row in counts:
            drawn = random.integers(0, n_items, size=n_items, dtype=np.int32)
            row[columns] = np.bincount(drawn, minlength=n_items)
        yield counts


def bootstrap_values(
    statistic: Callable[[npt.NDArray[np.int32]], Floats],
    seed: int,
    items: Sequence[str],
    n_resamples: int,
) -> Floats:
    """A statistic in every bootstrap resample, shape ``(n_resamples,)``."""
    blocks = [statistic(counts) for counts in bootstrap_counts(seed, items, n_resamples)]
    return np.concatenate([np.empty(0), *blocks])
