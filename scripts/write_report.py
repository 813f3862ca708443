"""Write the report of a study: one page that opens without a network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.report.page import write_report


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument("--settings", required=True, help="models, titles, config: JSON text or a file")
    arguments.add_argument("--scores", required=True, metavar="TSV", help="all scores")
    arguments.add_argument("--layers", required=True, metavar="TSV", help="the layer choice")
    arguments.add_argument(
        "--published", required=True, metavar="TSV", help="published and reproduced scores"
    )
    arguments.add_argument("--summaries", nargs="*", default=[], metavar="TSV", help="CONDITION/summary.tsv")
    arguments.add_argument("--figures", nargs="*", default=[], metavar="SVG", help="figures, in order")
    arguments.add_argument("--tables", nargs="*", default=[], metavar="TSV", help="further tables to show")
    arguments.add_argument("--referee", metavar="TSV", help="objections and what answers them")
    arguments.add_argument("--warnings", metavar="TSV", help="what the jobs warned of")
    arguments.add_argument("--behind", nargs="*", default=[], metavar="FILE", help="further files to name")
    arguments.add_argument("--output", required=True, metavar="HTML", help="the page to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Compose and write."""
    args = vars(parser().parse_args(argv))
    write_report(args.pop("output"), **args | {"settings": settings(args["settings"])})


if __name__ == "__main__":
    run(main)
