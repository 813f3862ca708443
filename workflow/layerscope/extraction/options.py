"""Command-line options of the scripts that run a foundation model over cells."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope.models.catalogue import CONTROLS, FAMILIES
from layerscope.models.settings import assignments

if TYPE_CHECKING:
    from layerscope.extraction.job import Extraction


def add_options(p: argparse.ArgumentParser) -> None:
    """Add what says which model runs over which cells, and how."""
    foundation = [name for name, family in FAMILIES.items() if family.foundation]
    p.add_argument("--family", required=True, choices=foundation)
    p.add_argument("--weights", required=True, type=Path, help="release folder of the family")
    p.add_argument("--cells", required=True, type=Path, help="any h5ad file")
    p.add_argument("--model", dest="name", metavar="MODEL", default="", help="name for log and provenance")
    p.add_argument("--layers", type=int, default=0, help="refuse a checkpoint with another number of layers")
    p.add_argument("--pooling", default="", help="at the numbered layers; the family has a default")
    p.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    p.add_argument("--stored-dtype", default="float32", choices=("float32", "float16"))
    p.add_argument("--device", default="auto", choices=("cpu", "cuda", "auto"))
    p.add_argument("--threads", type=int, default=0, help="CPU threads")
    p.add_argument("--token-budget", type=int, default=0, help="tokens of a batch; 0: what suits the device")
    p.add_argument("--control", default="", choices=("", *CONTROLS))
    p.add_argument("--control-seed", type=int, default=0)
    p.add_argument("--seed", type=int, default=0, help="of what tokenisation draws per cell")
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


def extraction(args: argparse.Namespace) -> Extraction:
    """What the options say."""
    from layerscope.extraction.job import Extraction

    options = {field.name: getattr(args, field.name) for field in fields(Extraction)}
    return Extraction(
        **options | {"settings": assignments(args.settings), "sha256": assignments(args.sha256, "--sha256")}
    )
