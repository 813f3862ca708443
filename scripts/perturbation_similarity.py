"""Correlate the differential-expression profiles of every pair of perturbations."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.tasks.perturbation.similarity import profile_similarity


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--profiles", type=Path, required=True, help="what differential_expression.py wrote"
    )
    arguments.add_argument("--output", type=Path, required=True, help="similarity.npz")
    arguments.add_argument("--threads", type=int, default=1, help="of use for thousands of perturbations")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and correlate."""
    args = parser().parse_args(argv)
    profile_similarity(args.profiles, args.output, args.threads)


if __name__ == "__main__":
    run(main)
