"""Plot the score of every layer against depth: with intervals, controls and baselines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.command_line import command, run
from layerscope.figures.layer_figure import draw_scores


def plot_scores(
    *,
    task: str,
    protocol: str,
    scores: Path,
    layers: Path,
    settings: Mapping[str, Any],
    output: Sequence[Path],
    ceilings: Sequence[Path] = (),
    representations: Path | None = None,
) -> None:
    """Plot the score of every layer against depth: with intervals, controls and baselines."""
    draw_scores(
        scores,
        output,
        task=task,
        protocol=protocol,
        settings=settings,
        layers_path=layers,
        ceilings_path=next(iter(ceilings), None),
        representations_path=representations,
    )


main = command(plot_scores)

if __name__ == "__main__":
    run(main)
