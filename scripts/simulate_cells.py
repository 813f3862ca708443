"""Simulate one draw of the embedded study's cells, with known truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run, settings
from layerscope.demo.settings import DRAWS
from layerscope.demo.simulation import write_simulation


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--draw", required=True, choices=list(DRAWS), help="which cells to draw")
    arguments.add_argument("--settings", default="{}", help="JSON text or file that replaces defaults")
    arguments.add_argument("--seed", type=int, required=True, help="seed of the cells")
    arguments.add_argument("--output", required=True, metavar="FILE", help=".h5ad of raw counts to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Simulate and write."""
    args = parser().parse_args(argv)
    write_simulation(args.draw, settings(args.settings), args.seed, args.output)


if __name__ == "__main__":
    run(main)
