"""One line now and then: how much, how fast, how long still."""

from __future__ import annotations

import logging
import time

LOG = logging.getLogger(__name__)
EVERY = 10.0
UNITS = ("B", "kB", "MB", "GB", "TB")


class Progress:
    """Report the progress of a transfer at most every ten seconds.

    Parameters
    ----------
    name
        Of what is fetched.
    total
        Bytes to come in all; ``None`` where nobody knows.
    done
        Bytes that were there before.
    """

    def __init__(self, name: str, total: int | None, done: int = 0) -> None:
        self._name, self._total, self._done = name, total, done
        self._first, self._start = done, time.monotonic()
        self._last = self._start

    def advance(self, n_bytes: int) -> None:
        """So many more bytes have come."""
        self._done += n_bytes
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            LOG.info("%s", self.line(now - self._start))

    def line(self, seconds: float) -> str:
        """Say how far it is, ``seconds`` after the start."""
        rate = (self._done - self._first) / max(seconds, 1e-9)
        if self._total is None:
            return f"{self._name}: {size(self._done)}, {size(rate)}/s"
        left = duration((self._total - self._done) / rate) if rate else "unknown time"
        return f"{self._name}: {size(self._done)} of {size(self._total)}, {size(rate)}/s, {left} left"


def size(n_bytes: float) -> str:
    """Bytes in words: ``1.43 GB``."""
    for unit in UNITS:
        if n_bytes < 1000 or unit == UNITS[-1]:
            return f"{n_bytes:.3g} {unit}" if unit != "B" else f"{n_bytes:.0f} B"
        n_bytes /= 1000
    raise AssertionError


def duration(seconds: float) -> str:
    """Seconds in words: ``2 h 05 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
