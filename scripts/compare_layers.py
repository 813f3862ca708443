"""Align every layer of a model with its other layers (debiased linear CKA)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.geometry.comparison import compare_layers


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--embeddings", type=Path, required=True, help="all layers of the model")
    arguments.add_argument("--condition", required=True, help="name for the rows")
    arguments.add_argument("--model", required=True, help="name for the rows")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of the sample of cells")
    arguments.add_argument("--output", type=Path, required=True, help="one row per pair of layers, .tsv")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and align."""
    compare_layers(**vars(parser().parse_args(argv)))


if __name__ == "__main__":
    run(main)
