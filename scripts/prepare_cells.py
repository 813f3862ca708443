"""Prepare the cells of one condition: raw counts, standard columns, quality control, a record of both."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.cells.prepare import prepare
from layerscope.command_line import run, settings


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument(
        "--input", nargs="+", required=True, help="files of the dataset (h5ad, or 10x files or folders)"
    )
    made.add_argument(
        "--settings", required=True, help="the dataset's entry and the condition's: JSON text, or a file"
    )
    made.add_argument("--condition", required=True, help="name of the condition")
    made.add_argument("--gene-names", help="table of symbols and Ensembl ids, where cells have only one")
    made.add_argument("--output", required=True, help="canonical cells to write (.h5ad)")
    made.add_argument("--obs", help="the cells' table alone, for scoring (.parquet)")
    made.add_argument("--summary", required=True, help="table of what each step removed (.tsv)")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the cells."""
    args = parser().parse_args(argv)
    chosen = settings(args.settings)
    prepare(args.input, chosen, args.condition, args.output, args.summary, args.gene_names, args.obs)


if __name__ == "__main__":
    run(main)
