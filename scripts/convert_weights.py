"""Write the encoders of a scFoundation checkpoint as safetensors and JSON: smaller, and safe to read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from layerscope.command_line import run


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--weights", required=True, type=Path, help="folder with models.ckpt and the gene list")
    p.add_argument("--output", required=True, type=Path, help="folder to write to")
    p.add_argument("--gene-list", default="", help="file name of the gene list, if not the owners'")
    p.add_argument("--trust-sha256", default="", help="opt in to an unsafe checkpoint of this checksum")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run it."""
    args = parser().parse_args(argv)
    from layerscope.models.scfoundation_files import GENE_LIST, convert

    convert(
        args.weights,
        args.output,
        gene_list=args.gene_list or GENE_LIST,
        trusted_sha256=args.trust_sha256,
    )


if __name__ == "__main__":
    run(main)
