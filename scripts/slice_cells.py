"""Fetch the chosen cells of a remote h5ad file, and no others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.cells.slices import slice_cells
from layerscope.command_line import run, settings
from layerscope.sources.transport import ATTEMPTS, FIRST_WAIT


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--settings", required=True, help="url, kind, selection ...: JSON text, or a file")
    made.add_argument("--output", required=True, help="the slice to make (.h5ad)")
    made.add_argument("--choice", required=True, help="table of the choice to make (.tsv)")
    made.add_argument(
        "--mirror", help="prefix to put before every address, or JSON: prefixes and replacements"
    )
    made.add_argument(
        "--attempts", type=int, default=ATTEMPTS, help="failures in a row after which to give up"
    )
    made.add_argument("--wait", type=float, default=FIRST_WAIT, help="seconds before the second attempt")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Cut the slice."""
    args = parser().parse_args(argv)
    slice_cells(settings(args.settings), args.output, args.choice, args.mirror, args.attempts, args.wait)


if __name__ == "__main__":
    run(main)
