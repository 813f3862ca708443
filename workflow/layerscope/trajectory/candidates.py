"""Candidates for nearest neighbours, of any number of searches among the same points, in one pass.

Squared distances are computed block by block in float32, each pair of points once for both of them, and
offered to every search, which keeps the nearest few. Each search may be among some of the points only, and
may see the distances restated. Memory grows with the points and the neighbours, not with the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from layerscope.trajectory.threads import blas_threads

Floats = npt.NDArray[np.float32]
Restate = Callable[[slice, slice, Floats], Floats]
FIRST_ROWS, ROWS, COLUMNS = 128, 1024, 4096
"""Points in a block. The first blocks are small: what they leave behind spares later ones most offers."""
CACHED_VALUES = 1 << 18
"""Distances looked at at once, few enough for a core's own cache."""
WAITING = 16
"""Offers per point that are sorted in at once."""


class Candidates:
    """The nearest so far of each of some points.

    Parameters
    ----------
    members
        Rising indices of the points searched among.
    n
        Candidates for each, itself among them; at most as many as there are members.
    restate
        Turns squared distances of members (rows, columns) into others.
    """

    def __init__(self, members: npt.NDArray[np.int64], n: int, restate: Restate | None = None) -> None:
        self._members = members
        self._restate = restate
        self._values = np.full((len(members), n), np.inf, dtype=np.float32)
        self._places = np.zeros((len(members), n), dtype=np.int32)
        self._waiting: list[tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], Floats]] = []
        self._n_waiting = 0

    def offer(self, rows: slice, columns: slice, squared: Floats) -> None:
        """Look at the squared distances of the points ``rows`` to the points ``columns``."""
        own_rows, own_columns = self._inside(rows), self._inside(columns)
        of_rows, of_columns = self._members[own_rows], self._members[own_columns]
        if not of_rows.size or not of_columns.size:
            return
        if squared.shape != (of_rows.size, of_columns.size):
            squared = squared[np.ix_(of_rows - rows.start, of_columns - columns.start)]
        for part in _strips(squared.shape):
            strip = slice(own_rows.start + part.start, own_rows.start + part.stop)
            self._keep(strip, own_columns, squared[part], both=rows != columns)
        if self._n_waiting > WAITING * len(self._members):
            self._sort_in()

    def _keep(self, rows: slice, columns: slice, squared: Floats, both: bool) -> None:
        """Keep what is nearer than the farthest candidate of its row, or if ``both`` of its column."""
        if self._restate:
            squared = self._restate(rows, columns, squared)
        of_row, of_column = self._values[rows, -1], self._values[columns, -1]
        near = squared < of_row[:, None]
        if both:
            near |= squared < of_column
        row, column = np.divmod(np.flatnonzero(near), near.shape[1])
        value = np.abs(squared[row, column])
        for_row = value < of_row[row]
        self._wait(rows.start + row[for_row], columns.start + column[for_row], value[for_row])
        if both:
            for_column = value < of_column[column]
            self._wait(columns.start + column[for_column], rows.start + row[for_column], value[for_column])

    def found(self) -> tuple[Floats, npt.NDArray[np.integer]]:
        """Distances, rising, and places among the members, each of shape ``(n_members, n)``."""
        self._sort_in()
        return self._values, self._places

    def _inside(self, block: slice) -> slice:
        start, stop = np.searchsorted(self._members, [block.start, block.stop])
        return slice(int(start), int(stop))

    def _wait(self, of: npt.NDArray[np.int64], other: npt.NDArray[np.int64], value: Floats) -> None:
        self._waiting.append((of, other, value))
        self._n_waiting += len(of)

    def _sort_in(self) -> None:
        if not self._n_waiting:
            return
        n_members, n = self._values.shape
        known = np.isfinite(self._values)
        self._waiting.append((np.nonzero(known)[0], self._places[known], self._values[known]))
        of, other, value = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        # numbers from +0 on are in the order of their bits: one sort by point and distance
        order = np.argsort((of << 32) | value.view(np.uint32))
        counts = np.bincount(of, minlength=n_members)
        rank = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = order[rank < n]
        at = of[kept], rank[rank < n]
        self._values[at], self._places[at] = value[kept], other[kept]
        self._waiting, self._n_waiting = [], 0


def offer_all_pairs(
    points: Floats, norms: npt.NDArray[np.float64], searches: Sequence[Candidates], threads: int = 1
) -> None:
    """Offer the squared Euclidean distances of all pairs of points to all searches.

    Parameters
    ----------
    points
        Points x features; distances err by some units in the last place of the points' squared norms.
    norms
        These squared norms.
    searches
        Whose members are rows of ``points``.
    threads
        Threads of the products.
    """
    lengths = norms.astype(np.float32)
    with blas_threads(threads):
        for rows, columns in _pairs_of_blocks(len(points)):
            squared = (-2 * points[rows]) @ points[columns].T
            for part in _strips(squared.shape):
                squared[part] += lengths[rows][part, None]
                squared[part] += lengths[columns]
            if rows == columns:
                np.fill_diagonal(squared, 0)
            for one in searches:
                one.offer(rows, columns, squared)


def _pairs_of_blocks(n_points: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of the upper triangle: each block of rows with itself, and with all that comes after it."""
    start, n_rows = 0, FIRST_ROWS
    while start < n_points:
        rows = slice(start, min(start + n_rows, n_points))
        yield rows, rows
        for column in range(rows.stop, n_points, COLUMNS):
            yield rows, slice(column, min(column + COLUMNS, n_points))
        start, n_rows = rows.stop, min(2 * n_rows, ROWS)


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    n_rows = max(1, CACHED_VALUES // shape[1])
    return (slice(start, min(start + n_rows, shape[0])) for start in range(0, shape[0], n_rows))
