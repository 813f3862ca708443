"""Test every perturbation against the control in one joint DESeq2 fit of the pseudobulks."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.perturbation.differential_expression import differential_expression


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pseudobulk", type=Path, required=True, help="what sum_pseudobulk.py wrote")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--threads", type=int, default=1, help="blocks of genes fitted at the same time")
    arguments.add_argument("--output", type=Path, required=True, help="profiles.h5ad")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and fit."""
    args = parser().parse_args(argv)
    differential_expression(args.pseudobulk, args.output, args.settings, args.threads)


if __name__ == "__main__":
    run(main)
