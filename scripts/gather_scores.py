"""Put the score rows of a study into one table."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.statistics.gather import gather, write_gathered


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument(
        "--scores", nargs="*", default=[], help="files of score rows; @FILE reads arguments, one per line"
    )
    arguments.add_argument(
        "--unavailable",
        type=json.loads,
        default=[],
        help="JSON list of {condition, model, task, protocol, reason}",
    )
    arguments.add_argument("--output", type=Path, required=True, help="all rows, .tsv")
    arguments.add_argument("--parquet", type=Path, required=True, help="the same, .parquet")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, gather, write both forms."""
    args = parser().parse_args(argv)
    write_gathered(gather(args.scores, args.unavailable), args.output, args.parquet)


if __name__ == "__main__":
    run(main)
