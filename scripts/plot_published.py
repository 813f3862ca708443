"""Plot the paper's scores beside those that this study reproduced."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.figures.published import draw_published


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--published", required=True, metavar="TSV", help="published and reproduced scores"
    )
    arguments.add_argument("--protocol", default="paper", help="protocol to set beside the paper")
    arguments.add_argument("--settings", default="{}", help="titles: JSON text or a file")
    arguments.add_argument("--output", required=True, nargs="+", metavar="FILE", help=".svg, .png, .pdf")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write."""
    args = parser().parse_args(argv)
    draw_published(args.published, args.output, protocol=args.protocol, settings=settings(args.settings))


if __name__ == "__main__":
    run(main)
