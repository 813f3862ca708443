"""Progress of a long run: in the log of a script, as a bar where nobody keeps a log (a notebook, say)."""

from __future__ import annotations

import logging

from tqdm import tqdm

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


class _LogLines:
    """A stream whose lines go to the log."""

    def write(self, text: str) -> None:
        if text.strip():
            log.info("%s", text.strip())

    def flush(self) -> None:
        """Nothing waits."""


def progress_of(n_cells: int) -> tqdm:
    """A bar that counts cells, or one line of the log now and then."""
    if not log.isEnabledFor(logging.INFO):
        return tqdm(total=n_cells, unit=" cells")
    return tqdm(
        total=n_cells,
        file=_LogLines(),
        mininterval=SECONDS_BETWEEN_LINES,
        bar_format="{n_fmt} of {total_fmt} cells in {elapsed}, {rate_fmt}, {remaining} left",
        unit=" cells",
    )
