"""Align every layer of all models with the baselines (debiased linear CKA), in one table for a study."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.geometry.comparison import compare_with_baselines


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument(
        "--tables", type=Path, nargs="+", required=True, metavar="TSV", help="what compare_layers.py wrote"
    )
    arguments.add_argument(
        "--embeddings",
        type=Path,
        nargs="+",
        required=True,
        metavar="H5AD",
        help="CONDITION/MODEL.h5ad, in the order of the tables",
    )
    arguments.add_argument(
        "--baselines", type=Path, nargs="*", default=[], metavar="H5AD", help="CONDITION/BASELINE.h5ad"
    )
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of the sample of cells")
    arguments.add_argument("--output", type=Path, required=True, help="the table to write, .tsv")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and align."""
    compare_with_baselines(**vars(parser().parse_args(argv)))


if __name__ == "__main__":
    run(main)
