"""Progress of a long run, in the log."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0


class Progress:
    """Counts cells and says now and then how many are done, how fast, and how long the rest will take.

    Parameters
    ----------
    total
        Cells to do.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._start = self._said = time.monotonic()

    def add(self, n_cells: int) -> None:
        """Count cells that are done."""
        self._done += n_cells
        now = time.monotonic()
        if now - self._said >= EVERY_SECONDS:
            self._said = now
            rate = self._done / (now - self._start)
            left = (self._total - self._done) / rate
            log.info("%d of %d cells, %.3g cells/s, %s left", self._done, self._total, rate, _spoken(left))

    def finish(self) -> None:
        """Say how long it took."""
        spent = time.monotonic() - self._start
        rate = self._done / spent if spent > 0 else 0.0
        log.info("%d cells in %s (%.3g cells/s)", self._done, _spoken(spent), rate)


def _spoken(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
