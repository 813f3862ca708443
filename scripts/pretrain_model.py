"""Pretrain a small model with the architecture of a released one, and write it in the release's layout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run, settings


def parser() -> argparse.ArgumentParser:
    """Arguments of this script."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--family", required=True, choices=["scfoundation", "tahoe_x1"])
    arguments.add_argument(
        "--cells", required=True, type=Path, metavar="FILE", help="canonical cells (.h5ad)"
    )
    arguments.add_argument("--settings", default="{}", help="JSON text or file that replaces defaults")
    arguments.add_argument("--seed", type=int, required=True, help="seed of weights and batches")
    arguments.add_argument("--threads", type=int, default=2, help="does not change the result")
    arguments.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="release to write")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Pretrain and write."""
    from layerscope.demo.pretraining import pretrain

    args = parser().parse_args(argv)
    pretrain(args.family, args.cells, settings(args.settings), args.seed, max(args.threads, 1), args.output)


if __name__ == "__main__":
    run(main)
