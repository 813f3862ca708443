"""List what a referee would object to the paper, and the output of the study that answers it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.report.referee import write_referee


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument("--settings", required=True, help="models, config: JSON text or a file")
    arguments.add_argument("--scores", required=True, metavar="TSV", help="all scores")
    arguments.add_argument("--layers", required=True, metavar="TSV", help="the layer choice")
    arguments.add_argument("--curves", required=True, metavar="TSV", help="the curves over layers")
    arguments.add_argument("--ceilings", metavar="TSV", help="noise ceilings, if protocol strict was run")
    arguments.add_argument("--summaries", nargs="*", default=[], metavar="TSV", help="CONDITION/summary.tsv")
    arguments.add_argument("--resamples", nargs="*", default=[], metavar="NPZ", help="bootstrap values")
    arguments.add_argument("--output", required=True, metavar="TSV", help="the table to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read, answer and write."""
    args = vars(parser().parse_args(argv))
    write_referee(args.pop("output"), **args | {"settings": settings(args["settings"])})


if __name__ == "__main__":
    run(main)
