"""Join the embeddings files of all stretches of cells into one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from layerscope.command_line import run
from layerscope.extraction.merge import merge


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--shards", nargs="+", required=True, help="embeddings files, first stretch to last")
    made.add_argument("--output", required=True, help="embeddings file to write (h5ad)")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Join them."""
    args = parser().parse_args(argv)
    merge(args.shards, args.output)


if __name__ == "__main__":
    run(main)
