"""Plot the paper's scores beside those that this study reproduced."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.command_line import command, run
from layerscope.figures.published import draw_published


def plot_published(
    *, published: Path, settings: Mapping[str, Any], output: Sequence[Path], protocol: str = "paper"
) -> None:
    """Plot the paper's scores beside those that this study reproduced."""
    draw_published(published, output, protocol=protocol, settings=settings)


main = command(plot_published)

if __name__ == "__main__":
    run(main)
