"""Draw the shape of layers against depth, or which layers hold the same geometry."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from layerscope.command_line import command, run
from layerscope.figures.geometry import draw_alignment, draw_shape


def plot_geometry(
    *,
    figure: Literal["geometry", "alignment"],
    table: Path,
    settings: Mapping[str, Any],
    output: Sequence[Path],
) -> None:
    """Draw the shape of layers against depth, or which layers hold the same geometry."""
    draw = {"geometry": draw_shape, "alignment": draw_alignment}[figure]
    draw(table, output, settings=settings)


main = command(plot_geometry)

if __name__ == "__main__":
    run(main)
