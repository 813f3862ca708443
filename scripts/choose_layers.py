"""Say which layer of each model to use for each condition, and how sure that is."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from layerscope.command_line import run, settings
from layerscope.statistics.evidence import models_of, resample_paths
from layerscope.statistics.layer_choice import choose_layers
from layerscope.tables import read_scores, write_table


def parser() -> argparse.ArgumentParser:
    """Command line of this script."""
    arguments = argparse.ArgumentParser(description=__doc__, fromfile_prefix_chars="@")
    arguments.add_argument("--scores", type=Path, required=True, help="all score rows of the study")
    arguments.add_argument(
        "--resamples",
        nargs="*",
        default=[],
        help="bootstrap values, .npz; @FILE reads arguments, one per line",
    )
    arguments.add_argument("--folder", type=Path, help="in place of --resamples: where they lie")
    arguments.add_argument(
        "--models", type=settings, required=True, help="JSON: model -> {kind, control, of, layers}"
    )
    arguments.add_argument(
        "--conditions",
        nargs="*",
        help="conditions in the study's order: shifts go from one to a later one",
    )
    arguments.add_argument("--output", type=Path, required=True, help="layers.tsv: the layer to use")
    arguments.add_argument("--curves", type=Path, help="every layer, with simultaneous intervals")
    arguments.add_argument("--shifts", type=Path, help="whether the best layer moves between conditions")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments, choose, write the table."""
    args = parser().parse_args(argv)
    scores = read_scores(args.scores)
    resamples = resample_paths(args.folder, scores) if args.folder else args.resamples
    if args.conditions:
        order = [*args.conditions, *sorted(set(scores["condition"]) - set(args.conditions))]
        scores["condition"] = pd.Categorical(scores["condition"], order)
    chosen = choose_layers(scores, resamples, models_of(args.models))
    write_table(args.output, chosen.layers)
    for path, table in ((args.curves, chosen.curves), (args.shifts, chosen.shifts)):
        if path:
            write_table(path, table)


if __name__ == "__main__":
    run(main)
