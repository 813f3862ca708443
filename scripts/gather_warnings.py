"""Gather what the jobs of a study warned of into one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.report.warned import write_warnings


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument("--folder", required=True, help="folder of the logs")
    arguments.add_argument("--logs", required=True, nargs="+", metavar="STEP/ABOUT.log", help="logs in it")
    arguments.add_argument("--scores", required=True, metavar="TSV", help="all scores")
    arguments.add_argument("--settings", required=True, help="models and order: JSON text or a file")
    arguments.add_argument("--output", required=True, metavar="TSV", help="the table to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Gather and write."""
    args = vars(parser().parse_args(argv))
    write_warnings(args.pop("output"), **args | {"settings": settings(args["settings"])})


if __name__ == "__main__":
    run(main)
