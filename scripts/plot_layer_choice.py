"""Plot which layers cannot be told from the best one, for every condition and model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.command_line import command, run
from layerscope.figures.layer_choice import draw_layer_choice


def plot_layer_choice(*, layers: Path, settings: Mapping[str, Any], output: Sequence[Path]) -> None:
    """Plot which layers cannot be told from the best one, for every condition and model."""
    draw_layer_choice(layers, output, settings=settings)


main = command(plot_layer_choice)

if __name__ == "__main__":
    run(main)
