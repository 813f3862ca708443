"""Plot the score of every layer against depth: with intervals, controls and baselines."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.figures.layer_figure import draw_scores


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--task", required=True, help="task of the scores, such as trajectory")
    arguments.add_argument("--protocol", default="paper", help="protocol of the scores")
    arguments.add_argument("--scores", required=True, metavar="TSV", help="table of all scores")
    arguments.add_argument(
        "--layers", metavar="TSV", help="table of the layer choice: marks its confidence set"
    )
    arguments.add_argument("--ceilings", metavar="TSV", help="table of noise ceilings: their intervals")
    arguments.add_argument("--settings", required=True, help="models, titles: JSON text or a file")
    arguments.add_argument("--output", required=True, nargs="+", metavar="FILE", help=".svg, .png, .pdf")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write."""
    args = parser().parse_args(argv)
    draw_scores(
        args.scores,
        args.output,
        task=args.task,
        protocol=args.protocol,
        settings=settings(args.settings),
        layers_path=args.layers,
        ceilings_path=args.ceilings,
    )


if __name__ == "__main__":
    run(main)
