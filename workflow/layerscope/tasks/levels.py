"""At what level a column's labels were given: to cells, to samples (libraries), or to donors.

What is held out, shuffled and resampled follows from it: a label of donors says as much as there are donors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import comb, prod
from typing import Literal

import numpy as np
import pandas as pd

from layerscope.arrays import Floats, Ints, Texts
from layerscope.tasks.folds import numbered, text

Level = Literal["cell", "sample", "donor"]
UNITS = ("donor", "sample", "batch")
"""Columns whose groups can be what labels were given to, the largest first."""


@dataclass(frozen=True)
class Labelled:
    """What a column's labels were given to."""

    level: Level
    """``donor`` where each has one label, ``sample`` where each has one but not each donor, else ``cell``."""
    unit: Ints
    """What has one label, numbered for each cell: its donor, its sample, or the cell itself."""
    names: tuple[str, ...]  # of the units
    by: str  # their column, for words; empty where they are cells
    within: Ints
    """Number of the group among whose units labels can be dealt anew, for each cell: of its donor at level
    ``sample``, of its donor and sample at level ``cell``, one for all at level ``donor``."""


def level_of(obs: pd.DataFrame, column: str) -> Labelled:
    """Find to what a column's labels were given, from the labels of all cells.

    Samples are those of ``sample``, else of ``batch``, in each donor. Where no donors are known, samples
    stand for donors. A condition with one donor has no level ``donor``. All cells of the table have a label.
    """
    labels = text(obs, column)
    donors, by_donor = _groups(obs, ("donor",))
    samples, by_sample = _groups(obs, ("sample", "batch"))
    if by_sample and by_donor:
        samples = donors + "\x1f" + samples
    largest = (donors, by_donor) if _several(donors) else (samples, by_sample)
    if column != largest[1] and _several(largest[0]) and _constant(labels, largest[0]):
        return _labelled("donor", *largest, np.zeros(len(obs), dtype=np.intp))
    if column != by_sample and _several(samples) and _constant(labels, samples):
        return _labelled("sample", samples, by_sample, numbered(donors))
    cells = np.asarray(obs.index, dtype=object)
    return _labelled("cell", cells, "", numbered(samples if by_sample else donors))


def _labelled(level: Level, units: Texts, by: str, within: Ints) -> Labelled:
    names, number = np.unique(np.asarray(units, dtype=object), return_inverse=True)
    return Labelled(level, number.astype(np.intp), tuple(map(str, names)), by, within)


def _groups(obs: pd.DataFrame, columns: tuple[str, ...]) -> tuple[Texts, str]:
    """Labels of the first of these columns that has any, and its name; one group for all where none has."""
    for column in columns:
        if column in obs and (text(obs, column) != "").any():
            return text(obs, column), column
    return np.full(len(obs), "", dtype=object), ""


def _several(groups: Texts) -> bool:
    return len(set(groups)) > 1


def _constant(labels: Texts, groups: Texts) -> bool:
    """Whether each group has one label."""
    return len(set(zip(groups, labels, strict=True))) == len(set(groups))


@dataclass(frozen=True)
class Dealt:
    """Labels of units dealt anew, ``(n_dealings, n_units)``."""

    labels: Ints
    exact: bool  # whether they are all that there are, so that a p-value counts and does not estimate

    def p_value(self, null: Floats, estimate: float) -> float:
        """Share of the dealings that score at least as high, within rounding; NaN without any."""
        if not len(null):
            return float("nan")
        above = int((null >= estimate - 1e-9 * max(abs(estimate), 1)).sum())
        return max(above, 1) / len(null) if self.exact else (1 + above) / (1 + len(null))


def deal(labels: Ints, within: Ints, n_dealings: int, random: np.random.Generator) -> Dealt:
    """Deal the labels of units anew among the units of the same group.

    All ways where there are at most ``n_dealings``, else so many random ones; none where there is one way
    alone. ``labels`` and ``within`` have one entry per unit.
    """
    groups = [np.flatnonzero(within == group) for group in np.unique(within)]
    ways = prod(_ways(labels[group]) for group in groups)
    if ways == 1 or n_dealings == 0:
        return Dealt(np.empty((0, len(labels)), dtype=np.intp), exact=False)
    if ways <= n_dealings:
        every = product(*(_arrangements(labels[group]) for group in groups))
        order = np.argsort(np.concatenate(groups))
        return Dealt(np.array([np.concatenate(chosen)[order] for chosen in every], dtype=np.intp), exact=True)
    return Dealt(dealt_within(labels, within, n_dealings, random), exact=False)


def dealt_within(labels: Ints, within: Ints, n_dealings: int, random: np.random.Generator) -> Ints:
    """Labels dealt anew at random among those of the same number in ``within``, so many times."""
    groups = [np.flatnonzero(within == group) for group in np.unique(within)]
    dealt = np.tile(labels, (n_dealings, 1))
    for row in dealt:
        for group in groups:
            row[group] = labels[random.permutation(group)]
    return dealt


def _ways(labels: Ints) -> int:
    """How many different orders there are of labels of which some are alike."""
    left, ways = len(labels), 1
    for count in np.unique(labels, return_counts=True)[1]:
        ways *= comb(left, int(count))
        left -= int(count)
    return ways


def _arrangements(labels: Ints) -> list[Ints]:
    """All of them."""

    def extend(kinds: dict[int, int]) -> Iterator[list[int]]:
        if not kinds:
            yield []
        for kind, count in kinds.items():
            rest = {**kinds, kind: count - 1} if count > 1 else {k: n for k, n in kinds.items() if k != kind}
            for following in extend(rest):
                yield [kind, *following]

    kinds, counts = np.unique(labels, return_counts=True)
    whole = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
    return [np.array(order, dtype=np.intp) for order in extend(whole)]
