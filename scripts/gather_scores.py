"""Put the score rows of a study into one table."""

import json
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import command, run
from layerscope.statistics.gather import gather, write_gathered


def gather_scores(
    *, scores: Sequence[Path] = (), unavailable: str = "[]", output: Path, parquet: Path
) -> None:
    """Put the score rows of a study into one table.

    Parameters
    ----------
    scores
        Files of score rows.
    unavailable
        JSON list of {condition, model, task, protocol, reason}: what could not be run.
    output, parquet
        All rows, in two forms.
    """
    write_gathered(gather(scores, json.loads(unavailable)), output, parquet)


main = command(gather_scores)

if __name__ == "__main__":
    run(main)
