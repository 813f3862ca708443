"""Finished rows on their way to the sink."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layerscope.extraction.shards import Column, Finished


class Buffer:
    """Room for finished rows until they are stored, taken once and filled again and again.

    Rows that wait among what the model allocates and frees would leave holes in memory.

    Parameters
    ----------
    columns
        The layers.
    n_bytes
        What the rows may take; at least one fits.
    """

    def __init__(self, columns: Sequence[Column], n_bytes: int) -> None:
        row_bytes = sum(column.width * column.dtype.itemsize for column in columns)
        self._room = max(n_bytes // row_bytes, 1)
        self._rows = np.empty(self._room, dtype=np.int64)
        self._layers = {
            column.layer: np.empty((self._room, column.width), dtype=column.dtype) for column in columns
        }
        self.clear()

    def clear(self) -> None:
        """Make room again."""
        self._n_rows = 0
        self._refused: dict[int, str] = {}
        self._shortened = np.zeros(0, dtype=np.int64)

    @property
    def is_full(self) -> bool:
        """Whether no further row fits."""
        return self._n_rows == self._room

    def take(self, finished: Finished) -> Finished | None:
        """Take rows, as many as fit, and all refused cells; what is left over, if anything is."""
        n_taken = min(self._room - self._n_rows, len(finished.rows))
        place = slice(self._n_rows, self._n_rows + n_taken)
        self._rows[place] = finished.rows[:n_taken]
        for name, matrix in finished.layers.items():
            self._layers[name][place] = matrix[:n_taken]
        taken = np.isin(finished.shortened, finished.rows[:n_taken])
        self._shortened = np.concatenate([self._shortened, finished.shortened[taken]])
        self._refused.update(finished.refused)
        self._n_rows += n_taken
        if n_taken == len(finished.rows):
            return None
        return Finished(
            rows=finished.rows[n_taken:],
            layers={name: matrix[n_taken:] for name, matrix in finished.layers.items()},
            shortened=finished.shortened[~taken],
        )

    def content(self) -> Finished | None:
        """What was taken, in place; None if nothing was."""
        if not self._n_rows and not self._refused:
            return None
        layers = {name: matrix[: self._n_rows] for name, matrix in self._layers.items()}
        return Finished(self._rows[: self._n_rows], layers, self._refused, self._shortened)
