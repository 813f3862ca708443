"""Run a foundation model over cells of a screen and keep sums over groups of cells, of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.extraction.options import Parser, add_options, extraction


def parser() -> Parser:
    """The command line."""
    p = Parser(__doc__)
    add_options(p)
    p.add_argument("--reference", type=Path, nargs="*", default=[], help="of protocol strict: has the design")
    p.add_argument("--output", required=True, type=Path, help="file of sums (h5)")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    args = parser().parse_args(argv)
    from layerscope.tasks.perturbation.sum_extraction import extract_sums

    design = next((folder / "design.npz" for folder in args.reference), None)
    extract_sums(args.weights, args.cells, design, args.output, extraction(args))


if __name__ == "__main__":
    run(main)
