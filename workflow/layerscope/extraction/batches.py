"""Cells of a window as tokens, and their order through the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.models.base import Integers, Sentences
from layerscope.models.ragged import offsets_of


@dataclass(frozen=True)
class Window:
    """Some cells of a file: their row numbers, and their tokens in the same order."""

    rows: npt.NDArray[np.int64]
    sentences: Sentences

    @property
    def refused(self) -> dict[int, str]:
        """Row to reason, of the cells that cannot be represented."""
        reasons = zip(self.rows.tolist(), self.sentences.refused, strict=True)
        return {row: reason for row, reason in reasons if reason}

    def by_length(self) -> npt.NDArray[np.int64]:
        """Indices of the cells that are not refused, longest first: what does not fit shows at once."""
        accepted = np.array([not reason for reason in self.sentences.refused], dtype=bool)
        order = np.argsort(-self.sentences.lengths, kind="stable")
        return np.asarray(order[accepted[order]])


def joined(parts: Iterable[tuple[npt.NDArray[np.int64], Sentences]]) -> Window:
    """Put parts of a window together."""
    rows, sentences = zip(*parts, strict=True)
    lengths = np.concatenate([part.lengths for part in sentences])

    def of_all(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {name: np.concatenate([of[name] for of in values]) for name in values[0]}

    together = Sentences(
        offsets=offsets_of(lengths),
        tokens=of_all([part.tokens for part in sentences]),
        cells=of_all([part.cells for part in sentences]),
        refused=[reason for part in sentences for reason in part.refused],
        shortened=np.concatenate([part.shortened for part in sentences]),
    )
    return Window(np.concatenate(rows), together)


def first_within(lengths: Integers, budget: int) -> int:
    """How many of the first cells have at most ``budget`` tokens together; at least one."""
    return max(int(np.searchsorted(np.cumsum(lengths), budget, side="right")), 1)
