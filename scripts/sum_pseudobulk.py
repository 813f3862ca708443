"""Sum counts over the cells of each sample: one guide (in one replicate) of one perturbation."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.perturbation.pseudobulk import sum_pseudobulk


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cells", type=Path, required=True, help="canonical cells with raw counts")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--output", type=Path, required=True, help="pseudobulk.h5ad")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and sum."""
    args = parser().parse_args(argv)
    sum_pseudobulk(args.cells, args.output, args.settings)


if __name__ == "__main__":
    run(main)
