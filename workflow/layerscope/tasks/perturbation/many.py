"""Similarities and scores of thousands of perturbations, exact, in blocks.

Ranks are had once per profile and once per vector of pairs; products run over blocks of rows, each on one
BLAS thread, so that the number of threads changes no bit. Values are float32 (an error of about 2e-7 in a
correlation), ranks of pairs float64.

The interval cannot come from re-ranking 81 million pairs a thousand times. It comes from the infinitesimal
jackknife (``influence``), which needs one sort per vector; pairs that tie are
taken in their order there, an error of the order of the share of ties over the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from layerscope.statistics.ranks import average_ranks

Array = NDArray[np.float64]
Single = NDArray[np.float32]
MANY = 1000
ROWS_AT_ONCE = 256


def unit_ranks(
    read: Callable[[slice], NDArray[np.floating]], n_rows: int, kept: NDArray[np.bool_], threads: int = 1
) -> Single:
    """Centred average ranks of every row, scaled to unit length: their products are Spearman correlations.

    Parameters
    ----------
    read
        Reads rows of the profiles.
    n_rows
        Number of rows.
    kept
        Columns to keep, shape ``(n_columns,)``.
    threads
        Blocks of rows ranked at the same time.

    Returns
    -------
    Shape ``(n_rows, kept.sum())``, float32; a row of NaN for a profile that does not vary.
    """
    found = np.empty((n_rows, int(kept.sum())), dtype=np.float32)

    def rank(rows: slice, values: NDArray[np.floating]) -> None:
        ranks = row_ranks(np.asarray(values[:, kept]))
        ranks -= (ranks.shape[1] + 1) / 2
        length = np.sqrt(np.einsum("ij,ij->i", ranks, ranks))[:, None]
        found[rows] = np.where(length > 0, ranks / np.where(length > 0, length, 1.0), np.nan)

    blocks = list(row_blocks(n_rows))
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(blocks), threads):
            # read by one thread (HDF5 has one lock), and no more than the threads can rank
            wave = [(rows, read(rows)) for rows in blocks[start : start + threads]]
            list(pool.map(lambda job: rank(*job), wave))
    return found


def row_ranks(values: NDArray[np.floating]) -> Array:
    """Average ranks from 1 within every row."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, values.shape[1] + 1)[None, :], axis=1)
    tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    for row in np.flatnonzero(tied):
        ranks[row] = average_ranks(values[row])
    return ranks


def products(unit: Single, threads: int = 1) -> Single:
    """Products of all pairs of rows, shape ``(n, n)``, symmetric, ones on the diagonal."""
    n = len(unit)
    found = np.empty((n, n), dtype=np.float32)

    def multiply(rows: slice) -> None:
        found[rows, rows.start :] = np.clip(unit[rows] @ unit[rows.start :].T, -1.0, 1.0)

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        list(pool.map(multiply, row_blocks(n)))
        list(pool.map(lambda rows: _mirror(found, rows), row_blocks(n)))
    np.fill_diagonal(found, 1.0)
    return found


def upper_triangle(matrix: NDArray[np.floating]) -> Single:
    """Entries above the diagonal, row by row, shape ``(n (n - 1) / 2,)``, float32."""
    return np.concatenate([row[index + 1 :] for index, row in enumerate(matrix)], dtype=np.float32)


def spearman_of_many(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    n_items: int,
    halves: NDArray[np.bool_],
    threads: int = 1,
) -> tuple[float, Array, tuple[Array, Array]]:
    """Spearman's correlation over millions of pairs, its influence, and its values on halves of the items.

    Parameters
    ----------
    x, y
        Similarities above the diagonal, row by row, shape ``(n_items * (n_items - 1) / 2,)``.
    n_items
        Number of items.
    halves
        True for the items of the first half, shape ``(n_splits, n_items)``.
    threads
        Vectors ranked, and blocks of rows summed, at the same time; the result does not depend on it.

    Returns
    -------
    The correlation (average ranks); its derivative in the weight of every item, shape ``(n_items,)``; and the
    correlation of the ranks of ALL pairs over the pairs within each first and each second half, each of shape
    ``(n_splits,)``. NaN where a vector is constant.
    """
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        (order_x, u), (order_y, v) = pool.map(_ranked, (x, y))
    xx, yy, xy = float(u @ u), float(v @ v), float(u @ v)
    if xx == 0 or yy == 0:
        nothing = np.full(len(halves), np.nan)
        return float("nan"), np.full(n_items, np.nan), (nothing, nothing)
    correlation = xy / np.sqrt(xx * yy)
    # vectors of pairs fill most of the memory: one at a time
    of_pair = u * v
    of_pair += _above(order_x, v)
    of_pair += _above(order_y, u)
    of_pair /= np.sqrt(xx * yy)
    for own, order, total in ((u, order_x, xx), (v, order_y, yy)):
        above = _above(order, own)
        above *= 2
        above += own * own
        above *= correlation / (2 * total)
        of_pair -= above
        del above
    influence = sum_by_item(of_pair, n_items)
    del of_pair, order_x, order_y
    within = _within(u, v, np.concatenate([halves, ~halves]), threads)
    return correlation, influence, (within[: len(halves)], within[len(halves) :])


def sum_by_item(of_pair: Array, n_items: int) -> Array:
    """Sum values of pairs (above the diagonal, row by row) over the pairs of each item."""
    found = np.zeros(n_items)
    for item, row in enumerate(_rows(of_pair, n_items)):
        found[item] += row.sum()
        found[item + 1 :] += row
    return found


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Blocks of rows that do not depend on the number of threads."""
    for start in range(0, n_rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, n_rows))


def _mirror(matrix: Single, rows: slice) -> None:
    for row in range(rows.start, rows.stop):
        matrix[row, :row] = matrix[:row, row]


def _ranked(values: NDArray[np.floating]) -> tuple[NDArray[np.int32], Array]:
    """Order of the values, and their average ranks minus the mean rank."""
    order = np.argsort(values, kind="stable").astype(np.int32)
    ordered = values[order]
    new = np.empty(len(values), dtype=bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    starts = np.append(np.flatnonzero(new), len(values)).astype(np.int32)
    middle = (starts[:-1] + starts[1:].astype(np.float64) + 1) / 2 - (len(values) + 1) / 2
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(middle, np.diff(starts))
    return order, ranks


def _above(order: NDArray[np.int32], other: Array) -> Array:
    """For every pair, the sum of ``other`` over the pairs ordered above it, and half its own."""
    ordered = other[order]
    upto = np.cumsum(ordered)
    total = upto[-1]
    ordered /= 2
    upto -= ordered
    np.subtract(total, upto, out=upto)
    ordered[order] = upto
    return ordered


def _rows(of_pair: Array, n_items: int) -> Iterator[Array]:
    start = 0
    for item in range(n_items):
        yield of_pair[start : start + n_items - 1 - item]
        start += n_items - 1 - item


def _within(u: Array, v: Array, chosen: NDArray[np.bool_], threads: int) -> Array:
    """Pearson correlation of two vectors of pairs over the pairs within each set of items."""
    n_items = chosen.shape[1]
    weights = chosen.astype(np.float64)

    def moments(rows: slice) -> Array:
        x, y = np.zeros((2, rows.stop - rows.start, n_items))
        for place in range(rows.start, rows.stop):
            start = place * n_items - place * (place + 1) // 2
            pairs = slice(start, start + n_items - 1 - place)
            x[place - rows.start, place + 1 :], y[place - rows.start, place + 1 :] = u[pairs], v[pairs]
        inside = weights[:, rows]
        return np.array([np.einsum("si,is->s", inside, m @ weights.T) for m in (x, y, x * y, x * x, y * y)])

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        sums = np.zeros((5, len(chosen)))
        for part in pool.map(moments, row_blocks(n_items)):
            sums += part
    n = weights.sum(axis=1)
    n = n * (n - 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, xy, xx, yy = sums / n
        spread = (xx - mean_x**2) * (yy - mean_y**2)
        return np.asarray((xy - mean_x * mean_y) / np.sqrt(spread))
