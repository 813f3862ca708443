"""Which cells stand for which perturbation, in which bucket, under true and under shuffled labels.

Every perturbation has the same number of cells, dealt into equal buckets within guide and lane; a half of the
cells is a half of the buckets. Repeated splits, smaller numbers of cells and noise ceilings all follow from
one sum per perturbation and bucket, so that protocol ``strict`` looks at no single cell after this.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.arrays import Bools
from layerscope.chance import Chance
from layerscope.files import whole
from layerscope.tables import arrays_of
from layerscope.tasks.screens.labels import group_cells

LANE_COLUMNS = ("replicate", "batch")
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """Groups of cells under several labellings.

    A group is ``item * n_buckets + bucket``, with item 0 the control and item ``i`` the perturbation
    ``names[i - 1]``; -1 is none. Row 0 of ``groups`` has the true labels, the others labels shuffled among
    the cells of a lane. All control cells are used.
    """

    names: list[str]
    cell_ids: list[str]
    n_buckets: int
    cells_per_perturbation: int  # a multiple of n_buckets
    groups: NDArray[np.int32]  # (1 + n_shuffles, n_cells)

    @property
    def n_groups(self) -> int:
        """Groups of one labelling, the control's included."""
        return (len(self.names) + 1) * self.n_buckets


def deal_design(
    obs: pd.DataFrame,
    names: Sequence[str],
    *,
    cells_per_perturbation: int,
    n_buckets: int,
    n_shuffles: int,
    seed: int,
) -> Design:
    """Select equal numbers of cells of the control and of these perturbations, and deal them into buckets.

    ``cells_per_perturbation``, which each of ``names`` must have, is rounded down to a multiple of
    ``n_buckets``. ``n_shuffles`` further labellings have labels shuffled within lanes. All is drawn by the
    seed and the cells' names.
    """
    item = group_cells(obs, names)
    wanted = cells_per_perturbation // n_buckets * n_buckets
    chance = Chance(seed, obs.index.tolist())
    strata = combined_codes(obs, ["guide", *LANE_COLUMNS])
    lane = combined_codes(obs, list(LANE_COLUMNS))
    rows = [deal(item, strata, wanted, n_buckets, chance, 0)]
    for shuffle in range(1, n_shuffles + 1):
        source = shuffled_within(lane, item >= 0, chance, shuffle)
        rows.append(deal(item[source], strata[source], wanted, n_buckets, chance, shuffle))
    return Design(
        names=list(names),
        cell_ids=obs.index.tolist(),
        n_buckets=n_buckets,
        cells_per_perturbation=wanted,
        groups=np.array(rows, dtype=np.int32),
    )


def deal(
    item: Codes, strata: Codes, n_cells: int, n_buckets: int, chance: Chance, stream: int
) -> NDArray[np.int32]:
    """Select cells and deal them into buckets: ``item * n_buckets + bucket`` of each cell, or -1."""
    group = np.full(len(item), -1, dtype=np.int32)
    inside = select(item, strata, n_cells, chance.keys(2 * stream))
    owner = item[inside]
    order = np.lexsort((chance.keys(2 * stream + 1)[inside], strata[inside], owner))
    position, _ = places(order, [owner])
    group[inside] = owner * n_buckets + position % n_buckets
    return group


def select(item: Codes, strata: Codes, n_cells: int, key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Cells to take: ``n_cells`` of each item (all of item 0), each stratum by its share, by random keys."""
    inside = np.flatnonzero(item >= 0)
    owner, stratum, key = item[inside], strata[inside], key[inside]
    place, size = places(np.lexsort((key, stratum, owner)), [owner, stratum])
    # each stratum evenly along [0, 1): the first cells of an item have every stratum's share
    along = (place + 0.5) / size
    rank, _ = places(np.lexsort((key, along, owner)), [owner])
    return np.asarray(inside[(rank < n_cells) | (owner == 0)])


def shuffled_within(lane: Codes, inside: Bools, chance: Chance, stream: int) -> NDArray[np.int64]:
    """For each cell, the cell of its lane whose labels it gets; cells that are not inside keep their own."""
    source = np.arange(len(lane))
    members = np.flatnonzero(inside)
    canonical = members[np.lexsort((chance.keys(0)[members], lane[members]))]
    drawn = members[np.lexsort((chance.keys(-stream)[members], lane[members]))]
    source[canonical] = drawn
    return source


def halves(n_buckets: int, n_splits: int, seed: int) -> Bools:
    """Different ways to cut the buckets into two halves, all if they are few, True for the first of each."""
    companions = list(combinations(range(1, n_buckets), n_buckets // 2 - 1))
    random = np.random.default_rng([seed, n_buckets])
    chosen = random.permutation(len(companions))[:n_splits]
    first = np.zeros((len(chosen), n_buckets), dtype=bool)
    first[:, 0] = True
    for row, index in zip(first, chosen, strict=True):
        row[list(companions[index])] = True
    return first


def write_design(path: str | Path, design: Design) -> None:
    """Write a design, always the same bytes for the same content."""
    about = {"n_buckets": design.n_buckets, "cells_per_perturbation": design.cells_per_perturbation}
    with whole(path) as scratch, scratch.open("wb") as stream:
        np.savez_compressed(
            stream,
            allow_pickle=False,
            names=np.array(design.names, dtype=np.str_),
            cell_ids=np.array(design.cell_ids, dtype=np.str_),
            groups=design.groups,
            about=np.array(json.dumps(about, sort_keys=True)),
        )


def read_design(path: str | Path) -> Design:
    """Read what :func:`write_design` wrote; a DataError if the file is not a design."""
    with arrays_of(path, "a design of splits") as arrays:
        return Design(
            names=arrays["names"].tolist(),
            cell_ids=arrays["cell_ids"].tolist(),
            groups=arrays["groups"],
            **json.loads(str(arrays["about"])),
        )


def combined_codes(obs: pd.DataFrame, columns: list[str]) -> Codes:
    """One number per combination of the columns that exist; a single one if none does."""
    present = [name for name in columns if name in obs.columns]
    if not present:
        return np.zeros(len(obs), dtype=np.int64)
    keys = obs[present].astype(str)
    return np.asarray(keys.groupby(present, sort=True).ngroup().to_numpy(), dtype=np.int64)


def places(order: Codes, keys: list[Codes]) -> tuple[Codes, Codes]:
    """Place of each cell within its run of equal keys (from 0) in an order, and the run's size."""
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    starts = np.flatnonzero(new)
    run = np.cumsum(new) - 1
    sizes = np.diff(np.append(starts, len(order)))
    place, size = np.empty(len(order), dtype=np.int64), np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - starts[run]
    size[order] = sizes[run]
    return place, size
