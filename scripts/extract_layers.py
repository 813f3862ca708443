"""Run a foundation model over cells and write every layer of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.extraction.options import add_options, extraction


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    add_options(p)
    p.add_argument("--output", required=True, type=Path, help="embeddings file (h5ad)")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    args = parser().parse_args(argv)
    from layerscope.extraction.job import extract

    extract(args.weights, args.cells, args.output, extraction(args))


if __name__ == "__main__":
    run(main)
