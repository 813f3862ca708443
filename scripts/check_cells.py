"""Say in plain words what a file of cells holds, and which tasks and models can use it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.cells.check import check
from layerscope.command_line import run
from layerscope.models.catalogue import FAMILIES


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("file", help="an h5ad file")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Print what the file holds."""
    args = parser().parse_args(argv)
    print(check(args.file, FAMILIES))


if __name__ == "__main__":
    run(main)
