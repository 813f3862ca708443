"""Score one layer of one model by how well it tells cell types apart."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings
from layerscope.tables import write_resamples, write_scores
from layerscope.tasks.cell_type.job import score_file
from layerscope.tasks.cell_type.settings import PROTOCOLS, CellTypeSettings


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--protocol", required=True, choices=list(PROTOCOLS))
    arguments.add_argument("--embeddings", type=Path, required=True, help="embeddings of one model, .h5ad")
    arguments.add_argument("--layer", required=True, help="00, 01 ... or official")
    arguments.add_argument("--cells", type=Path, required=True, help="canonical cells, .h5ad")
    arguments.add_argument("--condition", required=True)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--settings", type=settings, required=True, help="JSON: folds, penalty, ...")
    arguments.add_argument("--seed", type=int, default=0, help="seed of all that is drawn")
    arguments.add_argument("--output", type=Path, required=True, help="score rows, .tsv")
    arguments.add_argument("--resamples", type=Path, required=True, help="bootstrap values, .npz")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, score the layer, write rows and bootstrap values."""
    args = vars(parser().parse_args(argv))
    output, resamples = args.pop("output"), args.pop("resamples")
    args["settings"] = CellTypeSettings.read(args["settings"])
    rows, values = score_file(**args)
    write_resamples(resamples, values)
    write_scores(output, rows)


if __name__ == "__main__":
    run(main)
