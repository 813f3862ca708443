"""All neighbour searches that the scores of a layer need: its embedded cells, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.tasks.trajectory.neighbours import Metric, Neighbours, layer_neighbours

Cells = npt.NDArray[np.intp]
MIN_CELLS = 20
"""Fewer cells than this give no score."""


class UndefinedPseudotimeError(Exception):
    """A layer has no pseudotime; the message says why. Caught where rows are made, never a failure."""


@dataclass(frozen=True)
class Part:
    """Some embedded cells of a layer and their nearest neighbours among each other.

    Attributes
    ----------
    cells
        Rising indices among all cells of the condition.
    neighbours
        Places among these cells.
    """

    cells: Cells
    neighbours: Neighbours


@dataclass(frozen=True)
class LayerSearch:
    """Neighbours among the cells of a layer that have an embedding.

    Attributes
    ----------
    whole
        All of them.
    varied
        All of them, in the variation of the layer that the metric sees: centred for cosine distances (which
        do not see length), of unit length for Euclidean ones (which do not see an offset).
    parts
        Parts of them; where a part is too small, or constant, the error that says so.
    remarks
        What was left out, in words.
    """

    whole: Part
    varied: Part
    parts: list[Part | UndefinedPseudotimeError]
    remarks: list[str]


def search_layer(
    matrix: npt.NDArray[np.floating],
    neighbours: int,
    metric: Metric,
    parts: Sequence[Cells] = (),
    neighbours_in_parts: int | None = None,
) -> LayerSearch:
    """Search all embedded cells of a layer, and parts of them.

    Parameters
    ----------
    matrix
        The layer, cells x hidden; rows that are not finite are refused cells.
    neighbours, neighbours_in_parts
        Neighbours of a cell, itself included; in the parts as in the whole if not given.
    metric
        Of the distances.
    parts
        Rising indices of the cells of each part, refused ones among them.

    Raises
    ------
    UndefinedPseudotimeError
        If the embedded cells are too few for a graph, or all the same.
    """
    finite = np.isfinite(matrix).all(axis=1)
    embedded = np.flatnonzero(finite)
    demand_variety(matrix, embedded, neighbours)
    in_parts = neighbours_in_parts or neighbours
    cells_of_parts = [part[finite[part]] for part in parts]
    undefined = [_lack_of_variety(matrix, cells, in_parts) for cells in cells_of_parts]
    place = np.cumsum(finite) - 1
    searched = [place[cells] for cells, lack in zip(cells_of_parts, undefined, strict=True) if not lack]
    values = matrix if finite.all() else matrix[embedded]
    layer = layer_neighbours(values, neighbours, metric, searched, in_parts)
    of_parts = iter(layer.parts)
    n_refused = len(matrix) - len(embedded)
    return LayerSearch(
        Part(embedded, layer.whole),
        Part(embedded, layer.varied),
        [lack or Part(cells, next(of_parts)) for cells, lack in zip(cells_of_parts, undefined, strict=True)],
        [f"{n_refused} refused cells left out"] if n_refused else [],
    )


def demand_variety(matrix: npt.NDArray[np.floating], cells: Cells, neighbours: int) -> None:
    """Demand enough different cells for a graph.

    Raises
    ------
    UndefinedPseudotimeError
        If they are too few, or all the same.
    """
    if lack := _lack_of_variety(matrix, cells, neighbours):
        raise lack


def _lack_of_variety(
    matrix: npt.NDArray[np.floating], cells: Cells, neighbours: int
) -> UndefinedPseudotimeError | None:
    needed = max(MIN_CELLS, neighbours + 1)
    if len(cells) < needed:
        return UndefinedPseudotimeError(
            f"{len(cells)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
        )
    same = bool((matrix[cells[:needed]] == matrix[cells[0]]).all())
    if same and (matrix[cells] == matrix[cells[0]]).all():
        return UndefinedPseudotimeError("constant layer: every cell has the same embedding")
    return None
