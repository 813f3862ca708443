"""Agreement of two similarity matrices over pairs of perturbations, resampled by perturbation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layerscope.arrays import Bools, Floating, Floats, Integers
from layerscope.chance import generator
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.statistics.resampling import bootstrap_counts

# counts of pairs held at once: what fits a processor cache
VALUES_AT_ONCE = 200_000


class Pairs:
    """The pairs of ``n_items`` items, and how often each pair is drawn when items are.

    A pair of items drawn ``a`` and ``b`` times counts ``a * b`` times; an item's copies are never paired with
    each other, so that resamples hold no self-pairs.
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self.first, self.second = np.triu_indices(n_items, 1)

    def __len__(self) -> int:
        return len(self.first)

    def of(self, matrix: Floats) -> Floats:
        """Entries of a symmetric matrix above its diagonal, row by row, shape ``(n_pairs,)``."""
        return np.asarray(matrix[self.first, self.second])

    def counts(self, drawn: NDArray[np.int32]) -> NDArray[np.int32]:
        """How often each pair is drawn: ``(n_resamples, n_items)`` to ``(n_resamples, n_pairs)``."""
        return np.asarray(drawn[:, self.first] * drawn[:, self.second])


def pairs_by_row(of_pair: Floating, n_items: int) -> Iterator[Floating]:
    """The pairs of each item with all later ones, from values above a diagonal, row by row."""
    start = 0
    for n_later in range(n_items - 1, -1, -1):
        yield of_pair[start : start + n_later]
        start += n_later


@dataclass(frozen=True)
class Draws:
    """How perturbations are drawn: the same draws for every layer and model of a condition.

    Draws depend on the seed and on the set of all ``items`` (the reference's) alone; those of items that a
    layer lacks are left out. ``used`` are the layer's, in its order.
    """

    items: Sequence[str]
    used: Sequence[str]
    seed: int
    n_resamples: int
    n_splits: int

    def bootstrap(self) -> Iterator[NDArray[np.int32]]:
        """How often each used item is drawn, in blocks of shape ``(n_resamples_of_block, n_used)``."""
        for counts in bootstrap_counts(self.seed, self.items, self.n_resamples):
            yield counts[:, self._columns()]

    def halves(self) -> Bools:
        """Random halves of the items, True for the used items of the first, ``(n_splits, n_used)``."""
        canonical = np.argsort(np.asarray(self.items, dtype=np.str_), kind="stable")
        random = generator(self.seed, self.items, "halves")
        first = np.zeros((self.n_splits, len(self.items)), dtype=bool)
        for row in first:
            row[canonical[random.permutation(len(self.items))[: len(self.items) // 2]]] = True
        return first[:, self._columns()]

    def _columns(self) -> list[int]:
        column = {name: index for index, name in enumerate(self.items)}
        return [column[name] for name in self.used]


class SameModule:
    """Area under the ROC curve of a similarity: pairs of one module against the others, ties one half."""

    def __init__(self, similarity: Floats, same: Bools) -> None:
        self._order = np.argsort(similarity, kind="stable")
        ordered = similarity[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._same = same[self._order]

    def __call__(self, counts: Integers) -> Floats:
        """Area in each resample, shape ``(n_resamples,)``; NaN where one kind of pair is missing."""
        ordered = counts[:, self._order].astype(np.float64)
        same = np.add.reduceat(ordered * self._same, self._starts, axis=1)
        different = np.add.reduceat(ordered * ~self._same, self._starts, axis=1)
        below = np.cumsum(different, axis=1) - different / 2
        possible = same.sum(axis=1) * different.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((same * below).sum(axis=1) / possible)


Statistic = WeightedSpearman | SameModule


def of_all_pairs(statistic: Statistic, pairs: Pairs) -> float:
    """The statistic of all pairs, each once."""
    return float(statistic(np.ones((1, len(pairs)), dtype=np.int32))[0])


def resample(statistics: Mapping[str, Statistic], draws: Draws) -> dict[str, Floats]:
    """Bootstrap values of statistics of the pairs of the used items; NaN where one does not exist."""
    pairs = Pairs(len(draws.used))
    at_once = max(1, VALUES_AT_ONCE // max(len(pairs), 1))
    blocks: dict[str, list[Floats]] = {name: [] for name in statistics}
    for drawn in draws.bootstrap():
        for start in range(0, len(drawn), at_once):
            counts = pairs.counts(drawn[start : start + at_once])
            for name, statistic in statistics.items():
                blocks[name].append(statistic(counts))
    return {name: np.concatenate(values) for name, values in blocks.items()}


def on_halves(statistics: Sequence[Statistic], draws: Draws) -> tuple[Floats, Floats]:
    """Mean of statistics on both halves of random splits of the items; NaN where one does not exist there."""
    pairs, first = Pairs(len(draws.used)), draws.halves()
    chosen_on, scored_on = (
        np.mean([statistic(pairs.counts(half.astype(np.int32))) for statistic in statistics], axis=0)
        for half in (first, ~first)
    )
    return chosen_on, scored_on
