"""Fetch one file of a dataset or of a model's weights: resumed, checked, never fetched twice."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.sources.fetch import fetch
from layerscope.sources.transport import ATTEMPTS, FIRST_WAIT


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--settings", required=True, help="the source: JSON text, or a file")
    made.add_argument("--output", required=True, help="the file to make")
    made.add_argument(
        "--mirror", help="prefix to put before every address, or JSON: prefixes and their replacements"
    )
    made.add_argument(
        "--attempts", type=int, default=ATTEMPTS, help="failures in a row after which to give up"
    )
    made.add_argument("--wait", type=float, default=FIRST_WAIT, help="seconds before the second attempt")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch the file."""
    args = parser().parse_args(argv)
    fetch(settings(args.settings), args.output, args.mirror, args.attempts, args.wait)


if __name__ == "__main__":
    run(main)
