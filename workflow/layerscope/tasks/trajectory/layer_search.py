"""All neighbour searches that the scores of a layer need, found together: they share the costly products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from layerscope.tasks.trajectory.neighbours import (
    Metric,
    Neighbours,
    Wanted,
    nearest_neighbours,
    search_neighbours,
)

Cells = npt.NDArray[np.intp]
MINIMUM_CELLS = 20
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
        Parts of them; where one is too small, or constant, what it says.
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
    threads: int = 1,
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
        Rising indices of the cells of each part, refused ones among them; their searches are rough.
    threads
        Threads of the search.

    Raises
    ------
    UndefinedPseudotimeError
        If the embedded cells are too few for a graph, or all the same.
    """
    finite = np.isfinite(matrix).all(axis=1)
    embedded = np.flatnonzero(finite)
    demand_variety(matrix, embedded, neighbours)
    in_parts = neighbours_in_parts or neighbours
    of_parts: list[Cells | UndefinedPseudotimeError] = []
    for part in parts:
        cells = part[finite[part]]
        try:
            demand_variety(matrix, cells, in_parts)
            of_parts.append(cells)
        except UndefinedPseudotimeError as undefined:
            of_parts.append(undefined)
    place = np.cumsum(finite) - 1
    everyone = np.arange(len(embedded))
    wanted = [Wanted(everyone, neighbours)]
    if metric == "cosine":
        wanted.append(Wanted(everyone, neighbours, centred=True))
    wanted += [
        Wanted(place[cells], in_parts, rough=True) for cells in of_parts if not isinstance(cells, Exception)
    ]
    values = matrix if len(embedded) == len(matrix) else matrix[embedded]
    found = iter(search_neighbours(values, wanted, metric, threads))
    whole = Part(embedded, next(found))
    if metric == "cosine":
        varied = Part(embedded, next(found))
    else:
        varied = Part(embedded, nearest_neighbours(unit_length(values), neighbours, metric, threads))
    n_refused = len(matrix) - len(embedded)
    return LayerSearch(
        whole,
        varied,
        [cells if isinstance(cells, Exception) else Part(cells, next(found)) for cells in of_parts],
        [f"{n_refused} refused cells left out"] if n_refused else [],
    )


def demand_variety(matrix: npt.NDArray[np.floating], cells: Cells, neighbours: int) -> None:
    """Demand enough different cells for a graph.

    Raises
    ------
    UndefinedPseudotimeError
        If they are too few, or all the same.
    """
    needed = max(MINIMUM_CELLS, neighbours + 1)
    if len(cells) < needed:
        raise UndefinedPseudotimeError(
            f"{len(cells)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
        )
    same = bool((matrix[cells[:needed]] == matrix[cells[0]]).all())
    if same and (matrix[cells] == matrix[cells[0]]).all():
        raise UndefinedPseudotimeError("constant layer: every cell has the same embedding")


def unit_length(matrix: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Every cell's vector divided by its length; a cell of length 0 stays what it is."""
    length = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    return matrix / np.where(length > 0, length, 1.0)
