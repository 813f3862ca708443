"""Agreement of two similarity matrices over pairs of perturbations, resampled by perturbation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layerscope.chance import generator
from layerscope.statistics.ranks import WeightedSpearman
from layerscope.statistics.resampling import bootstrap_counts

Array = NDArray[np.float64]
# counts of pairs held at once: what fits a processor cache
VALUES_AT_ONCE = 200_000
# suffixes of a metric's values on the two halves of the perturbations
CHOSEN_ON, SCORED_ON = "@chosen_on", "@scored_on"


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

    def of(self, matrix: Array) -> Array:
        """Entries of a symmetric matrix above its diagonal, shape ``(n_pairs,)``."""
        return np.asarray(matrix[self.first, self.second])

    def counts(self, drawn: NDArray[np.int32]) -> NDArray[np.int32]:
        """How often each pair is drawn: ``(n_resamples, n_items)`` to ``(n_resamples, n_pairs)``."""
        return np.asarray(drawn[:, self.first] * drawn[:, self.second])

    def by_item(self, values: Array) -> Array:
        """Sum of the pairs' values over the pairs of each item, shape ``(n_items,)``."""
        by_first = np.bincount(self.first, values, self.n_items)
        return np.asarray(by_first + np.bincount(self.second, values, self.n_items))


class SameModule:
    """How well a similarity tells pairs of one module from pairs of different modules.

    Area under the receiver operating characteristic (the chance that a random pair of one module is more
    similar than a random pair of two modules, ties counting one half), under counts of the pairs.

    Parameters
    ----------
    similarity
        Of each pair, shape ``(n_pairs,)``.
    same
        Whether the pair is of one module, shape ``(n_pairs,)``.
    """

    def __init__(self, similarity: Array, same: NDArray[np.bool_]) -> None:
        self._order = np.argsort(similarity, kind="stable")
        ordered = similarity[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._same = same[self._order]

    def __call__(self, counts: NDArray[np.integer]) -> Array:
        """Area in each resample, shape ``(n_resamples,)``; NaN where one kind of pair is missing."""
        ordered = counts[:, self._order].astype(np.float64)
        same = np.add.reduceat(ordered * self._same, self._starts, axis=1)
        other = np.add.reduceat(ordered * ~self._same, self._starts, axis=1)
        below = np.cumsum(other, axis=1) - other / 2
        possible = same.sum(axis=1) * other.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((same * below).sum(axis=1) / possible)


Statistic = WeightedSpearman | SameModule


def estimate(statistic: Statistic, n_pairs: int) -> float:
    """The statistic of all pairs, each once."""
    return float(statistic(np.ones((1, n_pairs), dtype=np.int32))[0])


def resample(
    statistics: dict[str, Statistic], items: Sequence[str], used: Sequence[str], seed: int, n_resamples: int
) -> dict[str, Array]:
    """Bootstrap statistics of pairs over the items.

    Parameters
    ----------
    statistics
        By name, each over the pairs of ``used``.
    items
        All items that are drawn (the reference's), so that a resample is the same for every layer.
    used
        The items that this layer has, in the order of its pairs; draws of others are left out.
    seed
        Seed of the draws, which depend on it and on ``items`` alone.
    n_resamples
        Number of resamples.

    Returns
    -------
    Values of each statistic, shape ``(n_resamples,)``; NaN where it does not exist.
    """
    pairs = Pairs(len(used))
    column = {name: index for index, name in enumerate(items)}
    columns = [column[name] for name in used]
    blocks: dict[str, list[Array]] = {name: [] for name in statistics}
    for drawn in bootstrap_counts(seed, items, n_resamples):
        for start in range(0, len(drawn), _resamples_at_once(len(pairs))):
            counts = pairs.counts(drawn[start : start + _resamples_at_once(len(pairs)), columns])
            for name, statistic in statistics.items():
                blocks[name].append(statistic(counts))
    return {name: np.concatenate(found) for name, found in blocks.items()}


def random_halves(items: Sequence[str], seed: int, n_splits: int) -> NDArray[np.bool_]:
    """Halves of the items whatever their order, True for the first half, shape ``(n_splits, n_items)``."""
    canonical = np.argsort(np.asarray(items, dtype=np.str_), kind="stable")
    random = generator(seed, items, "halves")
    halves = np.zeros((n_splits, len(items)), dtype=bool)
    for row in halves:
        row[canonical[random.permutation(len(items))[: len(items) // 2]]] = True
    return halves


def on_halves(
    statistics: Sequence[Statistic], items: Sequence[str], used: Sequence[str], seed: int, n_splits: int
) -> tuple[Array, Array]:
    """Mean of statistics within random halves of the items, for a choice on one and a score on the other.

    Returns
    -------
    Values on the first and on the second half of each split, each of shape ``(n_splits,)``; NaN where a
    statistic does not exist within a half. The halves are the same for every layer.
    """
    pairs = Pairs(len(used))
    column = {name: index for index, name in enumerate(items)}
    first = random_halves(items, seed, n_splits)[:, [column[name] for name in used]]
    found = []
    for half in (first, ~first):
        counts = pairs.counts(half.astype(np.int32))
        found.append(np.mean([statistic(counts) for statistic in statistics], axis=0))
    return found[0], found[1]


def _resamples_at_once(n_pairs: int) -> int:
    return max(1, VALUES_AT_ONCE // max(n_pairs, 1))
