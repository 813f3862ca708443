"""Candidates for nearest neighbours: of several searches among the same points, in one pass.

Points are cut into blocks of near ones. Squared distances are computed block by block in float32, each pair
of points once for both of them, and offered to every search, which keeps the nearest few. Pairs are left out
whose distance along the points' leading directions alone is beyond what both points have kept already: no
search can need them. Memory grows with the points and the neighbours, not with the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from layerscope.tasks.trajectory.threads import in_threads

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Restate = Callable[[Indices, Indices, Floats], Floats]
Offers = tuple[Indices, Indices, Floats]
"""Points, others near to them, and how near."""
ROWS, COLUMNS = 512, 4096
"""Points in a block, and others that they are compared with at once."""
CACHED_VALUES = 1 << 18
"""Distances looked at at once, few enough for a core's own cache."""
WAITING = 16
"""Offers per point that are sorted in at once."""
DIRECTIONS, SAMPLE, ITERATIONS = 16, 4096, 3
"""Leading directions of the points, the points that they are found from, and the rounds that takes."""
DOUBT = 80 * float(np.finfo(np.float32).eps)
"""Error of a squared distance that comes from float32 products, in units of the points' squared norms."""


class Candidates:
    """The nearest so far of every point.

    Parameters
    ----------
    points
        Points x features.
    norms
        Their squared norms.
    n
        Candidates for each, itself among them; at most as many as there are points.
    restate
        What turns the squared distances offered (of rows, of columns) into those of ``points``, where these
        are not the points that the pass goes over.
    """

    def __init__(
        self, points: Floats, norms: npt.NDArray[np.float64], n: int, restate: Restate | None = None
    ) -> None:
        self.coordinates = leading_coordinates(points)
        self._error = (DOUBT * norms).astype(np.float32)
        self._restate = restate
        self._values = np.full((len(points), n), np.inf, dtype=np.float32)
        self._places = np.zeros((len(points), n), dtype=np.int64)
        self._waiting: list[Offers] = []
        self._n_waiting = 0

    def start(self, block: Indices, squared: Floats) -> None:
        """Take the nearest of each point among the points of its block."""
        if self._restate:
            squared = self._restate(block, block, squared)
        n = min(self._values.shape[1], len(block))
        near = np.argpartition(squared, n - 1, axis=1)[:, :n]
        value = np.abs(np.take_along_axis(squared, near, axis=1))
        order = np.argsort(value, axis=1)
        self._values[block, :n] = np.take_along_axis(value, order, axis=1)
        self._places[block, :n] = block[np.take_along_axis(near, order, axis=1)]

    def may_matter(self, block: Indices, others: Indices) -> npt.NDArray[np.bool_]:
        """Which other points may be nearer to a point of the block, or it to them, than what is kept."""
        inside = self.coordinates[block]
        there = self.coordinates[others]
        beyond = np.maximum(inside.min(axis=0) - there, 0)
        beyond += np.maximum(there - inside.max(axis=0), 0)
        farthest = np.maximum(self._values[others, -1], self._values[block, -1].max())
        error = self._error[others] + self._error[block].max()
        return np.asarray(np.einsum("ij,ij->i", beyond, beyond) <= farthest * (1 + DOUBT) + error)

    def nearer(self, rows: Indices, columns: Indices, squared: Floats) -> Offers:
        """What of the squared distances of some points to points of other blocks is near enough to be kept.

        Several threads may ask at once: what is kept only gets nearer meanwhile.
        """
        n_rows = max(1, CACHED_VALUES // len(columns))
        strips = [slice(start, start + n_rows) for start in range(0, len(rows), n_rows)]
        found = [self._nearer(rows[strip], columns, squared[strip]) for strip in strips]
        of, other, value = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return of, other, value

    def take(self, offers: Offers) -> None:
        """Keep what is offered, or what is nearest of it."""
        self._waiting.append(offers)
        self._n_waiting += len(offers[0])
        if self._n_waiting > WAITING * len(self._values):
            self._sort_in()

    def found(self) -> tuple[Floats, Indices]:
        """Distances, rising, and the points they lead to, each of shape ``(n_points, n)``."""
        self._sort_in()
        return self._values, self._places

    def _nearer(self, rows: Indices, columns: Indices, squared: Floats) -> Offers:
        if self._restate:
            squared = self._restate(rows, columns, squared)
        of_row, of_column = self._values[rows, -1], self._values[columns, -1]
        near = squared < of_row[:, None]
        near |= squared < of_column
        row, column = np.divmod(np.flatnonzero(near), near.shape[1])
        value = np.abs(squared[row, column])
        for_row, for_column = value < of_row[row], value < of_column[column]
        of = np.concatenate([rows[row[for_row]], columns[column[for_column]]])
        other = np.concatenate([columns[column[for_row]], rows[row[for_column]]])
        return of, other, np.concatenate([value[for_row], value[for_column]])

    def _sort_in(self) -> None:
        if not self._n_waiting:
            return
        n_points, n = self._values.shape
        known = np.isfinite(self._values)
        self._waiting.append((np.nonzero(known)[0], self._places[known], self._values[known]))
        of, other, value = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        # numbers from +0 on are in the order of their bits: one sort by point and distance
        order = np.argsort((of << 32) | value.view(np.uint32))
        counts = np.bincount(of, minlength=n_points)
        rank = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = order[rank < n]
        at = of[kept], rank[rank < n]
        self._values[at], self._places[at] = value[kept], other[kept]
        self._waiting, self._n_waiting = [], 0


def find_candidates(
    points: Floats, norms: npt.NDArray[np.float64], searches: Sequence[Candidates], threads: int = 1
) -> None:
    """Let every search see all pairs of points that may matter to any of them.

    Parameters
    ----------
    points
        Points x features; distances err by some units in the last place of the points' squared norms.
    norms
        These squared norms.
    searches
        The first one among these very points.
    threads
        Blocks compared at once.
    """
    lengths = norms.astype(np.float32)

    def squared_distances(rows: Indices, columns: Indices) -> Floats:
        squared = points[rows] @ points[columns].T
        squared *= -2
        squared += lengths[rows, None]
        squared += lengths[columns]
        return squared

    def start(block: Indices) -> None:
        squared = squared_distances(block, block)
        np.fill_diagonal(squared, 0)
        for one in searches:
            one.start(block, squared)

    def compare(block_and_others: tuple[Indices, Indices]) -> list[Offers]:
        block, others = block_and_others
        others = others[np.logical_or.reduce([one.may_matter(block, others) for one in searches])]
        if not others.size:
            return []
        squared = squared_distances(block, others)
        return [one.nearer(block, others, squared) for one in searches]

    blocks = list(_near_ones(searches[0].coordinates, np.arange(len(points))))
    for _ in in_threads(start, blocks, threads):
        pass
    for offers in in_threads(compare, _pairs(blocks), threads):
        for one, offer in zip(searches, offers, strict=False):
            one.take(offer)


def _pairs(blocks: Sequence[Indices]) -> Iterator[tuple[Indices, Indices]]:
    """Every block with the points of the blocks behind it, so many at a time."""
    in_order = np.concatenate(blocks)
    behind = 0
    for block in blocks:
        behind += len(block)
        for start in range(behind, len(in_order), COLUMNS):
            yield block, in_order[start : start + COLUMNS]


def leading_coordinates(points: Floats) -> Floats:
    """Coordinates of points along their leading directions, which are orthonormal.

    The distance between two points' coordinates is never more than that between the points.
    """
    sample = points[:: max(1, len(points) // SAMPLE)]
    n_directions = min(DIRECTIONS, *sample.shape)
    directions = np.random.default_rng(0).standard_normal((points.shape[1], n_directions), dtype=np.float32)
    for _ in range(ITERATIONS):
        directions, _ = np.linalg.qr(sample.T @ (sample @ directions))
    return points @ directions


def _near_ones(coordinates: Floats, points: Indices) -> Iterator[Indices]:
    """Cut points in halves across their widest extent, until they fit into a block."""
    if len(points) <= ROWS:
        yield points
        return
    widest = int(coordinates[points].var(axis=0).argmax())
    half = len(points) // 2
    order = np.argpartition(coordinates[points, widest], half)
    yield from _near_ones(coordinates, points[order[:half]])
    yield from _near_ones(coordinates, points[order[half:]])
