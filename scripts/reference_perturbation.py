"""Make a condition's reference of protocol released or strict (protocol paper's comes from DESeq2)."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.perturbation.reference_job import PROTOCOLS, reference_perturbation


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--protocol", required=True, choices=PROTOCOLS)
    arguments.add_argument("--cells", type=Path, required=True, help="the condition's canonical cells")
    arguments.add_argument("--design", type=Path, help="strict: what design_splits.py wrote")
    arguments.add_argument("--condition", required=True, help="name for the rows of ceilings")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of the splits")
    arguments.add_argument("--output", type=Path, required=True, help="similarity.npz")
    arguments.add_argument("--ceilings", type=Path, required=True, help="noise ceilings, score rows, .tsv")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and make the reference."""
    reference_perturbation(**vars(parser().parse_args(argv)))


if __name__ == "__main__":
    run(main)
