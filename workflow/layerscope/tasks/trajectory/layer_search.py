"""All neighbour searches that the scores of a layer need: its embedded cells, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.arrays import Floating, Ints
from layerscope.tasks.scored import NoScoreError
from layerscope.tasks.trajectory.neighbours import Metric, Neighbours, layer_neighbours

Cells = Ints
MIN_CELLS = 20  # fewer cells than this give no score
ALIKE = 1e-3  # neighbours closer than this share of their length are near the rounding of single precision


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
    parts: list[Part | None]  # None for a part that is too small, or constant
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
        raise NoScoreError("undefined", lack)
    in_parts = neighbours_in_parts or neighbours
    cells_of_parts = [part[finite[part]] for part in parts]
    usable = [not _lack_of_variety(matrix, cells, in_parts) for cells in cells_of_parts]
    place = np.cumsum(finite) - 1
    searched = [place[cells] for cells, taken in zip(cells_of_parts, usable, strict=True) if taken]
    values = matrix if finite.all() else matrix[embedded]
    layer = layer_neighbours(values, neighbours, metric, searched, in_parts)
    of_parts = iter(layer.parts)
    parts_searched = [
        Part(cells, next(of_parts)) if taken else None
        for cells, taken in zip(cells_of_parts, usable, strict=True)
    ]
    remarks = _remarks(len(matrix) - len(embedded), values, layer.whole, metric)
    return LayerSearch(
        Part(embedded, layer.whole),
        Part(embedded, layer.varied),
        parts_searched,
        remarks,
    )


def _remarks(n_refused: int, values: Floating, neighbours: Neighbours, metric: Metric) -> list[str]:
    remarks = [f"{n_refused} refused cells left out"] if n_refused else []
    farthest = neighbours.distances[:, -1].astype(np.float64)
    apart = np.sqrt(2 * farthest) if metric == "cosine" else farthest / np.linalg.norm(values, axis=1).mean()
    if (typical := float(np.median(apart))) < ALIKE:
        remarks.append(f"cells nearly alike: neighbours differ by {typical:.1g} of their length")
    return remarks


def _lack_of_variety(matrix: Floating, cells: Cells, neighbours: int) -> str:
    """Why there is no graph of these cells; empty where there is one."""
    needed = max(MIN_CELLS, neighbours + 1)
    if len(cells) < needed:
        return f"{len(cells)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
    same = bool((matrix[cells[:needed]] == matrix[cells[0]]).all())
    if same and (matrix[cells] == matrix[cells[0]]).all():
        return "constant layer: every cell has the same embedding"
    return ""
