"""Plot which layers cannot be told from the best one, for every condition and model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.figures.layer_choice import draw_layer_choice


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--layers", required=True, metavar="TSV", help="table of the layer choice")
    arguments.add_argument("--settings", default="{}", help="titles: JSON text or a file")
    arguments.add_argument("--output", required=True, nargs="+", metavar="FILE", help=".svg, .png, .pdf")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write."""
    args = parser().parse_args(argv)
    draw_layer_choice(args.layers, args.output, settings=settings(args.settings))


if __name__ == "__main__":
    run(main)
