"""Embeddings that a file of cells brings along, in ``obsm``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import h5py
import numpy as np

PICTURE = re.compile(r"umap|t-?sne|draw_graph|force|phate|spatial|_fa\d?$", re.I)
LAYER = re.compile(r"(.*layer[_-]?)(\d{1,3})", re.I)
MIN_WIDTH = 3
OLD = "as anndata wrote it before 0.7: write the file anew with anndata to have it scored"
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Embedding:
    """An array of ``obsm``: its name and width, and why it is not to be scored, if it is not."""

    name: str
    width: int
    unfit: str = ""

    def line(self) -> str:
        """The array in one line, with how a study takes it."""
        use = self.unfit or f"a study takes it as `family: stored`, `layers: {{official: obsm/{self.name}}}`"
        return f"{self.name}: {self.width} wide; {use}" if self.width else f"{self.name}: {use}"


def embeddings_of(file: h5py.File) -> list[Embedding]:
    """All arrays of ``obsm``."""
    arrays = file.get("obsm", {})
    if isinstance(arrays, h5py.Dataset):
        return [Embedding(name, 0, OLD) for name in arrays.dtype.names or ()]
    return [_embedding(name, values) for name, values in arrays.items()]


def layers_by_pattern(embeddings: Iterable[Embedding]) -> dict[str, list[Embedding]]:
    """Arrays that are layers of one model, by pattern (``layer_*``); any other by its own name."""
    groups: dict[str, list[Embedding]] = {}
    for embedding in embeddings:
        match = LAYER.fullmatch(embedding.name)
        groups.setdefault(f"{match[1]}*" if match else embedding.name, []).append(embedding)
    return groups


def _embedding(name: str, values: h5py.Group | h5py.Dataset) -> Embedding:
    if not isinstance(values, h5py.Dataset):
        return Embedding(name, 0, "a table or a sparse matrix: write it as an array to have it scored")
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        return Embedding(name, 0, "no array of cells x numbers")
    width = int(values.shape[1])
    if PICTURE.search(name) or width < MIN_WIDTH:
        return Embedding(name, width, "a picture, or too narrow to be an embedding")
    blocks = (values[start : start + ROWS_AT_ONCE] for start in range(0, len(values), ROWS_AT_ONCE))
    if not all(np.isfinite(block).all() for block in blocks):
        return Embedding(name, width, "some of its values are missing or infinite: leave these cells out")
    return Embedding(name, width)
