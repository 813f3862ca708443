"""Layers of a model as a mapping from layer name to array."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.extraction.embeddings_file import (
    Layer,
    key,
    read_cells,
    read_layer,
    read_layers,
    read_provenance,
)

if TYPE_CHECKING:
    from anndata import AnnData


class Layers(Mapping[str, npt.NDArray[np.float32]]):
    """Layers of one model over some cells: ``layers["06"]`` is an array of cells x width.

    The arrays lie in an embeddings file (of the workflow, or of :func:`layerscope.embed`) and are read when
    they are asked for. Rows of cells that the model refused are NaN, and :attr:`refused` says why.

    ``model`` is the name for scores, the file's own if empty; ``of`` the model that this one is a control of.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str = "",
        of: str = "",
        scratch: tempfile.TemporaryDirectory[str] | None = None,
    ) -> None:
        self.path, self.of = Path(path), of
        self._scratch = scratch  # removed with this object
        self._names = read_layers(self.path)
        self.provenance: dict[str, Any] = read_provenance(self.path)
        self.model = model or str(self.provenance.get("model") or self.path.stem)

    @cached_property
    def _cells(self) -> tuple[list[str], list[str]]:
        return read_cells(self.path)

    @property
    def cell_ids(self) -> list[str]:
        """Names of the cells, in the order of the rows."""
        return self._cells[0]

    @property
    def refused(self) -> dict[str, str]:
        """Cells without a representation, and why."""
        return {cell: reason for cell, reason in zip(*self._cells, strict=True) if reason}

    def layer(self, name: str) -> Layer:
        """A layer with the names of its cells and its provenance."""
        return read_layer(self.path, name)

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(f"{self.model} has no layer {name!r}; it has {', '.join(self._names)}")
        return self.layer(name).matrix

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def to_obsm(self, adata: AnnData, layers: Iterable[str] | None = None) -> list[str]:
        """Write layers into ``adata.obsm``, as ``MODEL_layer_NN`` and ``MODEL_official``; the keys.

        Cells of ``adata`` that have no row here get NaN.
        """
        place = pd.Index(self.cell_ids).get_indexer(pd.Index(adata.obs_names.astype(str)))
        names = {name: f"{self.model}_{key(name)}" for name in (self._names if layers is None else layers)}
        for name, written in names.items():
            matrix = self[name]
            rows = np.full((len(place), matrix.shape[1]), np.nan, dtype=matrix.dtype)
            rows[place >= 0] = matrix[place[place >= 0]]
            adata.obsm[written] = rows
        return list(names.values())

    def __repr__(self) -> str:
        return f"Layers of {self.model}: {', '.join(self._names)} of {len(self.cell_ids):,} cells"

    def _repr_html_(self) -> str:
        refused = f", {len(self.refused):,} of them refused" if self.refused else ""
        return (
            f"<b>{escape(self.model)}</b>: {len(self.cell_ids):,} cells{refused}, layers "
            f"{', '.join(self._names)}"
        )
