"""Command-line options of the scripts that run a foundation model over cells."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from layerscope.models.catalogue import CONTROLS, FAMILIES
from layerscope.models.settings import assignments

if TYPE_CHECKING:
    from layerscope.extraction.job import Extraction

POOLINGS = """\
poolings, each family's default first (docs/models.md says what each is):
  scfoundation      total_count_token, resolution_token, mean_genes, max_genes, mean, max, official
  tahoe_x1, scgpt   cls, mean, mean_genes, max
  geneformer        V2: cls, mean_genes, mean, max; V1: mean_genes, mean, max
  transcriptformer  official, mean, mean_genes, max
  uce               cls, mean, max
Whatever the pooling, the file has a layer `official` besides the numbered ones: the cell embedding that the
model's owners publish. A pooling of that name pools each numbered layer in their way.
"""


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are told in one line; its help ends with the poolings."""

    def __init__(self, description: str | None) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, epilog=POOLINGS, formatter_class=formatter)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        print(f"error: {message} (--help lists the options)", file=sys.stderr)
        sys.exit(2)


def add_options(p: argparse.ArgumentParser) -> None:
    """Add what says which model runs over which cells, and how."""
    foundation = [name for name, family in FAMILIES.items() if family.foundation]
    p.add_argument("--family", required=True, choices=foundation)
    p.add_argument("--weights", required=True, type=Path, help="release folder of the family")
    p.add_argument("--cells", required=True, type=Path, help="any h5ad file")
    p.add_argument("--model", dest="name", metavar="MODEL", default="", help="name for log and provenance")
    p.add_argument(
        "--layers", type=at_least(0), default=0, help="refuse a checkpoint with another number of layers"
    )
    p.add_argument(
        "--pooling",
        default="",
        help="at the numbered layers, one of those below; the family has a default",
    )
    p.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    p.add_argument("--stored-dtype", default="float32", choices=("float32", "float16"))
    p.add_argument("--device", default="auto", choices=("cpu", "cuda", "auto"))
    p.add_argument("--threads", type=at_least(0), default=0, help="CPU threads; 0: PyTorch's default")
    p.add_argument(
        "--token-budget", type=at_least(0), default=0, help="tokens of a batch; 0: what suits the device"
    )
    p.add_argument("--control", default="", choices=("", *CONTROLS))
    p.add_argument("--control-seed", type=at_least(0), default=0)
    p.add_argument("--seed", type=at_least(0), default=0, help="of what tokenisation draws per cell")
    p.add_argument(
        "--sha256",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE=SHA256",
        help="refuse a file of the weights with another checksum",
    )
    p.add_argument(
        "--set",
        dest="settings",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="of the family, see docs/models.md",
    )


def at_least(lowest: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``lowest``."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if number < lowest:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, at least {lowest}")
        return number

    return read


def extraction(args: argparse.Namespace) -> Extraction:
    """What the options say."""
    from layerscope.extraction.job import Extraction

    options = {field.name: getattr(args, field.name) for field in fields(Extraction)}
    return Extraction(
        **options | {"settings": assignments(args.settings), "sha256": assignments(args.sha256, "--sha256")}
    )
