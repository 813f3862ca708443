"""Write one layer of a model as cells that scanpy can work on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--embeddings", required=True, type=Path, help="embeddings file")
    p.add_argument("--cells", required=True, type=Path, help="the cells it was made from")
    p.add_argument("--layer", required=True, help="00, 01, ... or official")
    p.add_argument("--output", required=True, type=Path, help="h5ad file with the layer as X")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    args = parser().parse_args(argv)
    from layerscope.extraction.export import export_layer

    export_layer(args.embeddings, args.cells, args.layer, args.output)


if __name__ == "__main__":
    run(main)
