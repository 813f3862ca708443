"""Draw the shape of layers against depth, or which layers hold the same geometry."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.figures.geometry import draw_alignment, draw_shape

FIGURES = {"geometry": draw_shape, "alignment": draw_alignment}


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--figure", required=True, choices=list(FIGURES))
    arguments.add_argument("--table", required=True, metavar="TSV", help="geometry.tsv or alignment.tsv")
    arguments.add_argument("--settings", required=True, help="models and titles: JSON text or a file")
    arguments.add_argument("--output", required=True, nargs="+", metavar="FILE", help=".svg, .png, .pdf")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw."""
    args = parser().parse_args(argv)
    FIGURES[args.figure](args.table, args.output, settings=settings(args.settings))


if __name__ == "__main__":
    run(main)
