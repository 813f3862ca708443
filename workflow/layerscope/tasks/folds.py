"""Which cells test what was fitted to which others: folds of whole groups, or that hold every label alike.

Everything is decided by the cells' names: folds are the same for every layer and model of a condition,
whatever the order of its file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Ints, Texts
from layerscope.chance import Chance

CLONE = "clone"
SAMPLE, DEAL = 1, 2
"""Streams of the cells' random numbers: which are scored, and how they are dealt into folds."""
MAX_NAMED = 4


def text(obs: pd.DataFrame, column: str) -> Texts:
    """A column's labels as text, empty where there is none."""
    labels = obs[column].astype(object)
    return np.asarray(labels.where(labels.notna(), "").astype(str).to_numpy(dtype=object))


def n_labels(obs: pd.DataFrame, column: str) -> int:
    """How many labels a column has; none where there is no such column."""
    return len(set(text(obs, column)) - {""}) if column in obs else 0


def at_most(obs: pd.DataFrame, n_cells: int, seed: int, remarks: list[str]) -> pd.DataFrame:
    """At most so many cells, drawn by the seed, in their order; a remark says so."""
    if len(obs) <= n_cells:
        return obs
    remarks.append(f"{n_cells} of {len(obs)} cells, drawn by the seed")
    order = np.argsort(Chance(seed, obs.index.tolist()).keys(SAMPLE), kind="stable")
    return obs.iloc[np.sort(order[:n_cells])]


def crossed(rows: Ints, columns: Ints) -> Ints:
    """How many cells have each pair of two numbered labels."""
    table = np.zeros((rows.max() + 1, columns.max() + 1), dtype=np.intp)
    np.add.at(table, (rows, columns), 1)
    return table


def numbered(labels: npt.ArrayLike) -> Ints:
    """Number labels by their first appearance, so that other names for the same change nothing."""
    number: dict[object, int] = {}  # pandas compares text up to a null character alone
    return np.array(
        [number.setdefault(one, len(number)) for one in np.asarray(labels, dtype=object)], np.intp
    )


def kin(obs: pd.DataFrame) -> Texts:
    """What must not be torn apart: the clone of a cell, or the cell itself."""
    own = np.array([f"cell {name}" for name in obs.index], dtype=object)
    if CLONE not in obs:
        return own
    clone = text(obs, CLONE)
    return np.where(clone != "", "clone " + clone, own)


def grouped_folds(groups: npt.ArrayLike, n_folds: int) -> Ints:
    """Deal whole groups into folds of nearly equal size, the largest first; few groups are a fold each."""
    names, group, sizes = np.unique(
        np.asarray(groups, dtype=np.str_), return_inverse=True, return_counts=True
    )
    filled = np.zeros(min(n_folds, len(names)), dtype=np.intp)
    fold = np.empty(len(names), dtype=np.intp)
    for place in np.lexsort([names, -sizes]):
        fold[place] = filled.argmin()
        filled[fold[place]] += sizes[place]
    return fold[group]


def stratified_folds(types: Ints, unit: npt.ArrayLike, n_folds: int, chance: Chance) -> Ints:
    """Deal cells into folds that hold every type alike; cells of one unit stay together.

    Units are dealt in random order, each into the fold that has fewest cells of the type that most of its
    cells have, and then fewest cells.
    """
    _, member = np.unique(np.asarray(unit, dtype=np.str_), return_inverse=True)
    counts = crossed(member, types)
    first = np.full(len(counts), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(first, member, chance.keys(DEAL))
    filled = np.zeros((n_folds, counts.shape[1]), dtype=np.intp)
    fold = np.empty(len(counts), dtype=np.intp)
    for place in np.lexsort([first, -counts.sum(axis=1)]):
        commonest = counts[place].argmax()
        fold[place] = np.lexsort([filled.sum(axis=1), filled[:, commonest]])[0]
        filled[fold[place]] += counts[place]
    return fold[member]


def plural(column: str) -> str:
    """A grouping column's name for several of its labels."""
    return f"{column}es" if column.endswith("ch") else f"{column}s"


def named_few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(names[:MAX_NAMED])
    return shown if len(names) <= MAX_NAMED else f"{shown} and {len(names) - MAX_NAMED} more"
