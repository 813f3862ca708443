"""All neighbour searches that the scores of a layer need: its embedded cells, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.arrays import Floating, Ints
from layerscope.tasks.trajectory.neighbours import Metric, Neighbours, layer_neighbours

Cells = Ints
MIN_CELLS = 20  # fewer cells than this give no score
ALIKE = 1e-3  # neighbours closer than this share of their length are near the rounding of single precision


class UndefinedPseudotimeError(Exception):
    """A layer has no pseudotime; the message says why. Caught where rows are made, never a failure."""


@dataclass(frozen=True)
class Part:
    """Some embedded cells of a layer and their nearest neighbours among each other."""

    cells: Cells  # rising indices among all cells of the condition
    neighbours: Neighbours  # places among these cells


@dataclass(frozen=True)
class LayerSearch:
    """Neighbours among the cells of a layer that have an embedding."""

    whole: Part
    varied: Part
    """The same cells, centred for cosine distances, of unit length for Euclidean ones (see ``variants``)."""
    parts: list[Part | UndefinedPseudotimeError]
    """Parts of them; where a part is too small, or constant, the error that says so."""
    remarks: list[str]


def search_layer(
    matrix: Floating,
    neighbours: int,
    metric: Metric,
    parts: Sequence[Cells] = (),
    neighbours_in_parts: int | None = None,
) -> LayerSearch:
    """Search all embedded cells of a layer, which must vary enough for a graph, and parts of its cells."""
    finite = np.asarray(np.isfinite(matrix).all(axis=1))
    embedded = np.flatnonzero(finite)
    if lack := _lack_of_variety(matrix, embedded, neighbours):
        raise lack
    in_parts = neighbours_in_parts or neighbours
    cells_of_parts = [part[finite[part]] for part in parts]
    undefined = [_lack_of_variety(matrix, cells, in_parts) for cells in cells_of_parts]
    place = np.cumsum(finite) - 1
    searched = [place[cells] for cells, lack in zip(cells_of_parts, undefined, strict=True) if not lack]
    values = matrix if finite.all() else matrix[embedded]
    layer = layer_neighbours(values, neighbours, metric, searched, in_parts)
    of_parts = iter(layer.parts)
    remarks = _remarks(len(matrix) - len(embedded), values, layer.whole, metric)
    return LayerSearch(
        Part(embedded, layer.whole),
        Part(embedded, layer.varied),
        [lack or Part(cells, next(of_parts)) for cells, lack in zip(cells_of_parts, undefined, strict=True)],
        remarks,
    )


def _remarks(n_refused: int, values: Floating, neighbours: Neighbours, metric: Metric) -> list[str]:
    remarks = [f"{n_refused} refused cells left out"] if n_refused else []
    farthest = neighbours.distances[:, -1].astype(np.float64)
    apart = np.sqrt(2 * farthest) if metric == "cosine" else farthest / np.linalg.norm(values, axis=1).mean()
    if (typical := float(np.median(apart))) < ALIKE:
        remarks.append(f"cells nearly alike: neighbours differ by {typical:.1g} of their length")
    return remarks


def _lack_of_variety(matrix: Floating, cells: Cells, neighbours: int) -> UndefinedPseudotimeError | None:
    needed = max(MIN_CELLS, neighbours + 1)
    if len(cells) < needed:
        return UndefinedPseudotimeError(
            f"{len(cells)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
        )
    same = bool((matrix[cells[:needed]] == matrix[cells[0]]).all())
    if same and (matrix[cells] == matrix[cells[0]]).all():
        return UndefinedPseudotimeError("constant layer: every cell has the same embedding")
    return None
