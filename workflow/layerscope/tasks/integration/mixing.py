"""Are batches mixed within cell types, as far as chance would mix them?

iLISI of a whole data set is low where batches lie apart, and low too where they hold other types. So it is
computed within each type, from equally many cells of each batch, and divided by what shuffled batches give: 0
where every neighbourhood is of one batch, 1 where batches lie as if dealt at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerscope.arrays import Bools, Floats, Ints
from layerscope.tasks.integration.neighbours import Neighbours, gaussian_weights, lisi, nearest_neighbours

LISTED = 2
"""Times as many neighbours are listed as are looked at, since a part of the cells may be left out."""


@dataclass(frozen=True)
class TypeCells:
    """The cells of one type among which mixing is measured."""

    cells: Ints
    """Their places among all cells."""
    near: Neighbours
    """Their neighbours, by place in this type."""
    batches: Ints
    shuffled: Ints
    """Batches after each shuffle, shape ``(n_shuffles, n_cells)``."""


def cells_by_type(
    vectors: Floats, types: Ints, batches: Ints, shuffled: Ints, balanced: Bools, neighbours: int
) -> list[TypeCells]:
    """Each type's balanced cells with their neighbours; ``neighbours`` are those that are looked at."""
    parts = []
    for kind in np.unique(types[balanced]):
        members = np.flatnonzero(balanced & (types == kind))
        near = nearest_neighbours(vectors[members], LISTED * neighbours)
        parts.append(TypeCells(members, near, batches[members], shuffled[:, members]))
    return parts


def mixing(parts: Sequence[TypeCells], neighbours: int, chosen: Bools | None = None) -> float:
    """Mean over types of iLISI over its mean under shuffles, both as far as above one batch.

    ``parts`` are the cells of each type, ``chosen`` those of all cells that are looked at. Neighbours, the
    cell itself included, are at most half of the type's cells. NaN where no type has cells of two batches.
    """
    ratios = [_of_type(part, neighbours, chosen) for part in parts]
    known = [ratio for ratio in ratios if not np.isnan(ratio)]
    return float(np.mean(known)) if known else float("nan")


def _of_type(part: TypeCells, neighbours: int, chosen: Bools | None) -> float:
    near, batches, shuffled = part.near, part.batches, part.shuffled
    if chosen is not None:
        inside = chosen[part.cells]
        near = among(near, inside, neighbours)
        batches, shuffled = batches[inside], shuffled[:, inside]
    k = min(neighbours, len(batches) // 2, near.cells.shape[1] + 1)
    if k < 3 or len(np.unique(batches)) < 2:
        return float("nan")
    near, n_batches = near.nearest(k), int(max(batches.max(), shuffled.max())) + 1
    weights = gaussian_weights(near.distances, k // 3)
    # the mean, not scib's median: it moves with every cell, and an unmixed half does not vanish
    measured, *null = [
        lisi(weights, labels[near.cells], n_batches).mean() - 1 for labels in (batches, *shuffled)
    ]
    return float(measured / np.mean(null)) if np.mean(null) > 0 else float("nan")


def among(near: Neighbours, chosen: Bools, most: int) -> Neighbours:
    """Neighbours that some of the cells have among each other, as many as the cell with fewest has."""
    place = np.cumsum(chosen) - 1
    cells, distances = near.cells[chosen], near.distances[chosen]
    inside = chosen[cells]
    k = min(int(inside.sum(axis=1).min(initial=most)), most)
    first = inside & (np.cumsum(inside, axis=1) <= k)
    return Neighbours(place[cells[first]].reshape(-1, k), distances[first].reshape(-1, k))
