"""Represent cells by a baseline, written like a model that has its official embedding only."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.models.baselines import compute_baseline


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--baseline", required=True, help="hvg_pca, rank_normal_pca, hellinger_svd, ...")
    arguments.add_argument("--cells", type=Path, required=True, help="the condition's canonical cells")
    arguments.add_argument("--settings", type=settings, default={}, help="JSON text, or a YAML or JSON file")
    arguments.add_argument("--seed", type=int, required=True, help="seed of whatever is drawn")
    arguments.add_argument("--output", type=Path, required=True, help="embeddings, .h5ad")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and compute."""
    args = parser().parse_args(argv)
    compute_baseline(args.baseline, args.cells, args.output, args.settings, args.seed)


if __name__ == "__main__":
    run(main)
