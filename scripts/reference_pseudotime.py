"""Give a condition its reference pseudotime and root: the data's own, or computed once on hvg_pca."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tasks.trajectory.job import reference_file
from layerscope.tasks.trajectory.references import write_reference
from layerscope.tasks.trajectory.settings import PROTOCOLS, settings_of


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--protocol", default="paper", choices=list(PROTOCOLS))
    arguments.add_argument("--cells", type=Path, required=True, help="canonical cells, .h5ad")
    arguments.add_argument("--baseline-embeddings", type=Path, required=True, help="hvg_pca of these cells")
    arguments.add_argument("--settings", type=settings, required=True, help="JSON: neighbours, metric, ...")
    arguments.add_argument("--output", type=Path, required=True, help="table of the pseudotime, .tsv")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, make the reference, write it."""
    args = parser().parse_args(argv)
    chosen = settings_of(args.protocol, args.settings)
    write_reference(args.output, reference_file(args.cells, args.baseline_embeddings, chosen))


if __name__ == "__main__":
    run(main)
