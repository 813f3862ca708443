"""Random numbers of a cell's own, so that neither its batch nor its place in a file changes them."""

from __future__ import annotations

import hashlib

import numpy as np


def cell_generator(seed: int, cell_id: str) -> np.random.Generator:
    """Random numbers that belong to a seed and a cell, wherever in a file it stands."""
    digest = hashlib.sha256(cell_id.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])
