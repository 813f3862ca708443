"""List what a referee would object to the paper, and the output of the study that answers it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.command_line import command, run
from layerscope.report.referee import write_referee


def answer_referee(
    *,
    settings: Mapping[str, Any],
    scores: Path,
    layers: Path,
    curves: Path,
    output: Path,
    ceilings: Sequence[Path] = (),
    summaries: Sequence[Path] = (),
    resamples: Sequence[Path] = (),
) -> None:
    """List what a referee would object to the paper, and the output of the study that answers it."""
    tables = {"scores": scores, "layers": layers, "curves": curves, "ceilings": next(iter(ceilings), None)}
    write_referee(output, settings=settings, summaries=summaries, resamples=resamples, **tables)


main = command(answer_referee)

if __name__ == "__main__":
    run(main)
