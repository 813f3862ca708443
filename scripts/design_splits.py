"""Design the splits of protocol strict: which cells stand for which perturbation, in which bucket."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.perturbation.design import design_splits


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cells", type=Path, required=True, help="the condition's canonical cells")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of selection, dealing and shuffles")
    arguments.add_argument("--output", type=Path, required=True, help="design.npz")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and design."""
    design_splits(**vars(parser().parse_args(argv)))


if __name__ == "__main__":
    run(main)
