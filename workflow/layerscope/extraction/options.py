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

MAX_THREADS, MAX_SEED = 2**15, 2**63 - 1
POOLINGS = """\
poolings, each family's default first (docs/models.md says what each is):
  scfoundation      total_count_token, resolution_token, mean_genes, max_genes, mean, max, official
  tahoe_x1, scgpt   cls, mean, mean_genes, max
  geneformer        V2: cls, mean_genes, mean, max; V1: mean_genes, mean, max
  transcriptformer  official, mean, mean_genes, max
  uce               cls, mean, max
  nicheformer       official, mean, mean_genes
  state_se          cls, mean, mean_genes, max
  scconcept         cls, mean_genes, mean, max

the layer official, which is written whatever the pooling: the cell embedding that the model's owners publish
  scfoundation      after the final norm: S, T, maximum and mean over genes (or, official=max, maximum of all)
  tahoe_x1          after the final norm: cell token, divided by its L2 norm
  scgpt             after the last block: cell token, divided by its L2 norm
  geneformer        after the second to last block: V2 the cell token, V1 the mean over genes
  transcriptformer  after the last block: sum over start token and genes, divided by the length limit
  uce               decoder of the cell token, divided by its L2 norm
  nicheformer       after the last block: mean over genes and filling
  state_se          decoder of the cell token, divided by its L2 norm; beside it the data set's numbers
  scconcept         after the last block: cell token, projected if it has a projection, divided by its L2 norm
A pooling of that name pools each numbered layer in this way, without a final norm.
"""


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are told in one line; its help ends with the poolings.

    What is not typed is not there, unless the option states a default.
    """

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description,
            epilog=POOLINGS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and leave."""
        print(f"error: {message} (--help lists the options)", file=sys.stderr)
        sys.exit(2)


def add_options(p: Parser) -> None:
    """Add what says which model runs over which cells, and how; the defaults are those of Extraction."""
    foundation = [name for name, family in FAMILIES.items() if family.foundation]
    count, seed = whole_number(0), whole_number(0, MAX_SEED)
    p.add_argument("--family", required=True, choices=foundation)
    p.add_argument("--weights", required=True, type=Path, help="release folder of the family")
    p.add_argument("--cells", required=True, type=Path, help="any h5ad file")
    p.add_argument("--model", dest="name", metavar="MODEL", help="name for log and provenance")
    p.add_argument("--layers", type=count, help="refuse a checkpoint with another number of layers")
    p.add_argument(
        "--up-to",
        type=whole_number(1),
        metavar="LAYER",
        help="stop after this block: layers 00 to it, and the official one only if it is made of these",
    )
    p.add_argument("--pooling", help="at the numbered layers, one of those below; the family has a default")
    p.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    p.add_argument("--stored-dtype", choices=("float32", "float16"))
    p.add_argument("--device", choices=("cpu", "cuda", "auto"))
    p.add_argument("--threads", type=whole_number(0, MAX_THREADS), help="CPU threads; 0: PyTorch's default")
    p.add_argument("--token-budget", type=count, help="tokens of a batch; 0: what suits the device")
    p.add_argument("--control", choices=("", *CONTROLS))
    p.add_argument("--control-seed", type=seed)
    p.add_argument("--seed", type=seed, help="of what tokenisation draws per cell")
    p.add_argument(
        "--sha256",
        action="extend",
        nargs="+",
        metavar="FILE=SHA256",
        help="refuse a file of the weights with another checksum",
    )
    p.add_argument(
        "--set",
        dest="settings",
        action="extend",
        nargs="+",
        metavar="KEY=VALUE",
        help="of the family, see docs/models.md",
    )


def whole_number(lowest: int, highest: int = 2**31 - 1) -> Callable[[str], int]:
    """A reader of whole numbers between these two."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if not lowest <= number <= highest:
            expected = f"expected a whole number from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(f"{text!r}: {expected}")
        return number

    return read


def extraction(args: argparse.Namespace) -> Extraction:
    """What the options say."""
    from layerscope.extraction.job import Extraction

    typed = vars(args)
    options = {field.name: typed[field.name] for field in fields(Extraction) if field.name in typed}
    for name, option in (("settings", "--set"), ("sha256", "--sha256")):
        options[name] = assignments(typed.get(name, []), option)
    return Extraction(**options)
