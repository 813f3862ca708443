"""Everything random that belongs to named items, whatever their order and whatever runs first.

Two kinds: generators seeded by a name or a set of names, and one number per cell, fast for many cells.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

STRIDE = np.uint64(0x9E3779B97F4A7C15)


def generator(seed: int, items: Sequence[str], purpose: str) -> np.random.Generator:
    """Random generator that depends on ``seed``, ``purpose`` and the set of different ``items`` alone."""
    names = sorted(items)
    if any(first == second for first, second in itertools.pairwise(names)):
        raise ValueError("items that are resampled need unique names")
    return _seeded(seed, "\0".join([purpose, *names]), n_bytes=32)


def cell_generator(seed: int, cell_id: str) -> np.random.Generator:
    """Random generator that belongs to a seed and a cell, wherever in a file it stands."""
    return _seeded(seed, cell_id, n_bytes=16)


def _seeded(seed: int, text: str, n_bytes: int) -> np.random.Generator:
    """Generator seeded by the first bytes of a text's digest."""
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:n_bytes], "little")])


class Chance:
    """Random numbers of cells that depend on a seed and the cell's id alone."""

    def __init__(self, seed: int, cell_ids: Sequence[str]) -> None:
        keyed = hashlib.blake2b(digest_size=8, key=int(seed).to_bytes(16, "little"))
        numbers = np.empty(len(cell_ids), dtype=np.uint64)
        for index, cell in enumerate(cell_ids):
            digest = keyed.copy()
            digest.update(cell.encode())
            numbers[index] = int.from_bytes(digest.digest(), "little")
        self._numbers = numbers

    def keys(self, stream: int) -> NDArray[np.uint64]:
        """One random number per cell, another for every stream."""
        with np.errstate(over="ignore"):
            return mixed(self._numbers + np.uint64(stream % 2**64) * STRIDE)

    def sample(self, size: int) -> NDArray[np.int64]:
        """A random sample of at most ``size`` cells, as sorted indices."""
        order = np.argsort(self.keys(0), kind="stable")
        return np.sort(order[:size])


def mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble numbers one by one: the finaliser of splitmix64, on which equal numbers stay equal."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(numbers ^ (numbers >> np.uint64(31)))
