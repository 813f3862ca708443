"""Set the paper's scores beside what this study reproduced."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.statistics.published_scores import compare_published
from layerscope.tables import read_scores, write_table


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scores", type=Path, required=True, help="all score rows of the study")
    arguments.add_argument("--output", type=Path, required=True, help="published.tsv")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, compare, write the table."""
    args = parser().parse_args(argv)
    write_table(args.output, compare_published(read_scores(args.scores)))


if __name__ == "__main__":
    run(main)
