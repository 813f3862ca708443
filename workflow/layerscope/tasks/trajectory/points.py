"""Cells as points whose distances are searched: float32, and centred, so that products keep their digits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from layerscope.tasks.trajectory.threads import in_threads

CACHED_VALUES = 200_000
"""Values worked on at once, few enough for a core's own cache."""
CHUNK = 32
"""Squares added up in float32 before their sums are in float64."""
LARGEST_RATIO = 8.0
"""Largest ratio of lengths at which the cells' distances still tell their centred distances in float32."""

Matrix = npt.NDArray[np.floating]


class Points:
    """Rows of a matrix as points: themselves, or unit vectors, whose squared chord is twice 1 - cosine.

    Attributes
    ----------
    at
        Shape ``(n_points, width)``, float32, centred; columns of zeros fill up the width.
    length
        Lengths of the rows (minus ``shift``), shape ``(n_points,)``, float64.
    norms
        Squared norms of the points, float64.
    """

    def __init__(self, values: Matrix, unit: bool, shift: npt.NDArray[np.float64] | None = None) -> None:
        """Make the points of distinct rows, cells x features, from which ``shift`` is subtracted first."""

        def blocks() -> Iterator[tuple[slice, Matrix]]:
            per_block = max(1, CACHED_VALUES // values.shape[1])
            for start in range(0, len(values), per_block):
                block = slice(start, start + per_block)
                yield block, values[block] if shift is None else values[block] - shift

        self.length, scale = np.empty(len(values)), np.ones(len(values))
        centre = np.zeros(values.shape[1])
        for block, rows in blocks():
            self.length[block] = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            if unit:
                scale[block] = np.where(self.length[block] > 0, self.length[block], 1)
            centre += (1 / scale[block]) @ rows / len(values)
        # a row without direction (there is one at most) points where no other does
        nowhere = (self.length == 0) & unit
        width = values.shape[1] + int(nowhere.any())
        self.at = np.zeros((len(values), -(-width // CHUNK) * CHUNK), dtype=np.float32)
        for block, rows in blocks():
            self.at[block, : values.shape[1]] = rows / scale[block, None] - centre
        if nowhere.any():
            self.at[:, width - 1] = nowhere
        self.norms = np.einsum("ij,ij->i", self.at, self.at, dtype=np.float64)

    def apart(
        self, rows: npt.NDArray[np.integer], others: npt.NDArray[np.integer], threads: int = 1
    ) -> npt.NDArray[np.float64]:
        """Squared distances of each of some points to others, from differences; shape of ``others``."""
        n_pieces = threads if len(rows) > threads else 1
        pieces = zip(np.array_split(rows, n_pieces), np.array_split(others, n_pieces), strict=True)
        return np.concatenate(list(in_threads(self._apart, pieces, n_pieces)))

    def _apart(self, of: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]) -> npt.NDArray[np.float64]:
        rows, others = of
        squared = np.empty(others.shape)
        n_others, width = others.shape[1], self.at.shape[1]
        per_block = max(1, CACHED_VALUES // (n_others * width))
        held = np.empty((per_block, n_others, width), dtype=np.float32)
        for start in range(0, len(rows), per_block):
            block = slice(start, start + per_block)
            apart = held[: len(rows[block])]
            # indices are known to be right; "clip" lets numpy write into the array that is there
            np.take(self.at, others[block], axis=0, out=apart, mode="clip")
            apart -= self.at[rows[block], None]
            chunks = apart.reshape(-1, n_others, width // CHUNK, CHUNK)
            squared[block] = np.einsum("ijkl,ijkl->ijk", chunks, chunks).sum(axis=2, dtype=np.float64)
        return squared


class CentredChords:
    """Squared chords between centred cells, from squared chords between the same cells as they are.

    Two cells of lengths s and s', and t and t' after centring, are ``|x - x'|^2 = s s' chord^2 + (s - s')^2``
    apart, centred or not; so the centred ones' squared chord is ``(|x - x'|^2 - (t - t')^2) / (t t')``.

    Attributes
    ----------
    ratio
        Largest length that enters the formula, in units of a cell's length after centring: errors of float32
        grow with its square.
    """

    def __init__(self, plain: Points, centred: Points) -> None:
        difference, total = plain.length - centred.length, plain.length + centred.length
        difference -= difference.mean()
        total -= total.mean()
        largest = plain.length * np.sqrt(plain.norms) + np.abs(difference) + np.abs(total)
        self.ratio = float((largest / centred.length).max())
        self._difference, self._total, self._plain, self._inverse = (
            one.astype(np.float32) for one in (difference, total, plain.length, 1 / centred.length)
        )

    @classmethod
    def of(cls, plain: Points, centred: Points) -> CentredChords | None:
        """The formula for these cells, or None where float32 does not carry it."""
        if not (plain.length > 0).all() or not (centred.length > 0).all():
            return None
        chords = cls(plain, centred)
        return chords if chords.ratio <= LARGEST_RATIO else None

    def __call__(
        self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], squared: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Restate the squared chords of a block."""
        restated = squared * self._plain[rows, None]
        restated *= self._plain[columns]
        # (s - s')^2 - (t - t')^2 as a product, which cancels nothing
        lengths = self._difference[rows, None] - self._difference[columns]
        lengths *= self._total[rows, None] - self._total[columns]
        restated += lengths
        restated *= self._inverse[rows, None]
        restated *= self._inverse[columns]
        return restated
