"""Random numbers of cells that depend on a seed and on the cell's id, never on the order of cells."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STRIDE = np.uint64(0x9E3779B97F4A7C15)


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble numbers one by one: the finaliser of splitmix64, on which equal numbers stay equal."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(numbers ^ (numbers >> np.uint64(31)))


class Chance:
    """Random numbers of cells that depend on a seed and the cell's id alone.

    Parameters
    ----------
    seed
        Seed.
    cell_ids
        The cells.
    """

    def __init__(self, seed: int, cell_ids: Sequence[str]) -> None:
        keyed = hashlib.blake2b(digest_size=8, key=int(seed).to_bytes(16, "little"))
        numbers = np.empty(len(cell_ids), dtype=np.uint64)
        for index, cell in enumerate(cell_ids):
            one = keyed.copy()
            one.update(cell.encode())
            numbers[index] = int.from_bytes(one.digest(), "little")
        self._numbers = numbers

    def keys(self, stream: int) -> NDArray[np.uint64]:
        """One random number per cell, another for every stream (the finaliser of splitmix64)."""
        with np.errstate(over="ignore"):
            return mixed(self._numbers + np.uint64(stream % 2**64) * STRIDE)

    def sample(self, size: int) -> NDArray[np.int64]:
        """A random sample of at most ``size`` cells, as sorted indices."""
        order = np.argsort(self.keys(0), kind="stable")
        return np.sort(order[:size])
