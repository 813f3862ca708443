"""layerscope: which layer of a single-cell foundation model to use, and how sure that answer is.

``embed`` runs a model over cells, ``score`` scores layers by a task, ``recommend`` says which to use. They
are imported when they are asked for, so that ``import layerscope`` takes no time; ``__init__.pyi`` has their
types.
"""

import os
from importlib import import_module
from typing import Any

# Intel's MKL then sums in one order whatever the alignment of memory; read when torch is imported
os.environ.setdefault("MKL_CBWR", "AUTO")

__version__ = "0.2.0"

DOORS = {
    "Layers": "layers",
    "Recommendation": "choice",
    "Scores": "scores",
    "embed": "embed",
    "recommend": "choice",
    "score": "scores",
}
"""Module of ``layerscope.doors`` that holds each name."""


def __getattr__(name: str) -> Any:
    if name not in DOORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.doors.{DOORS[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *DOORS])
