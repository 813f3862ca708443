"""Prepare the cells of one condition: raw counts, standard columns, quality control, a record of both."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.cells.prepare import prepare
from layerscope.command_line import command, run


def prepare_cells(
    *,
    input: Sequence[Path],
    settings: Mapping[str, Any],
    condition: str,
    output: Path,
    summary: Path,
    gene_names: Sequence[Path] = (),
    obs: Path | None = None,
) -> None:
    """Prepare the cells of one condition: raw counts, standard columns, quality control, a record of both.

    Parameters
    ----------
    input
        Files of the dataset (h5ad, or 10x files or folders).
    settings
        The dataset's entry and the condition's: JSON text, or a file.
    condition
        Name of the condition.
    output
        Canonical cells to write (.h5ad).
    summary
        Table to write of what each step removed (.tsv).
    gene_names
        Table of symbols and Ensembl ids, where cells have only one.
    obs
        The cells' table alone to write, for scoring (.parquet).
    """
    prepare(input, settings, condition, output, summary, next(iter(gene_names), None), obs)


main = command(prepare_cells)

if __name__ == "__main__":
    run(main)
