"""Score one layer of one model by how well it keeps which perturbations act alike."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.perturbation.job import PROTOCOLS, score_perturbation


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--protocol", required=True, choices=PROTOCOLS)
    arguments.add_argument("--embeddings", type=Path, required=True, help="all layers of the model")
    arguments.add_argument("--layer", required=True, help='"00", "01" ... or "official"')
    arguments.add_argument("--cells", type=Path, required=True, help="the condition's canonical cells")
    arguments.add_argument("--reference", type=Path, required=True, help="similarity.npz")
    arguments.add_argument("--design", type=Path, help="strict: what design_splits.py wrote")
    arguments.add_argument("--condition", required=True, help="name for the rows")
    arguments.add_argument("--model", required=True, help="name for the rows")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of the bootstrap")
    arguments.add_argument("--output", type=Path, required=True, help="score rows, .tsv")
    arguments.add_argument("--resamples", type=Path, required=True, help="bootstrap values, .npz")
    arguments.add_argument("--threads", type=int, default=1, help="of use for thousands of perturbations")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and score."""
    score_perturbation(**vars(parser().parse_args(argv)))


if __name__ == "__main__":
    run(main)
