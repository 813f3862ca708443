"""Plot what cells shared by layer and reference do to a perturbation score."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.figures.leak import draw_leak


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scores", required=True, metavar="TSV", help="scores of protocol strict")
    arguments.add_argument("--settings", default="{}", help="titles: JSON text or a file")
    arguments.add_argument("--models", nargs="+", default=[], help="models to draw; default: all with layers")
    arguments.add_argument("--output", required=True, nargs="+", metavar="FILE", help=".svg, .png, .pdf")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write."""
    args = parser().parse_args(argv)
    draw_leak(args.scores, args.output, settings=settings(args.settings), models=args.models)


if __name__ == "__main__":
    run(main)
