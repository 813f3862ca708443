"""Run a foundation model over cells and write every layer of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run
from layerscope.extraction.options import Parser, add_options, extraction, whole_number


def parser() -> Parser:
    """The command line."""
    p = Parser(__doc__)
    add_options(p)
    p.add_argument("--output", required=True, type=Path, help="embeddings file (h5ad)")
    p.add_argument(
        "--shard",
        nargs=2,
        type=whole_number(1),
        default=(1, 1),
        metavar=("NUMBER", "OF"),
        help="this stretch of the cells alone; merge_shards.py joins all of them",
    )
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    args = parser().parse_args(argv)
    from layerscope.extraction.job import extract

    extract(args.weights, args.cells, args.output, extraction(args), tuple(args.shard))


if __name__ == "__main__":
    run(main)
