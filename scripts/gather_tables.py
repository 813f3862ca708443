"""Join tables of the same columns into one, in the order given."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run
from layerscope.tables import join_tables


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument("--tables", required=True, nargs="+", metavar="TSV", help="tables to join")
    arguments.add_argument("--output", required=True, metavar="TSV", help="the table to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read, join and write."""
    args = parser().parse_args(argv)
    join_tables(args.tables, args.output)


if __name__ == "__main__":
    run(main)
