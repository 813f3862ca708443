"""What a study may set for the shape of layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from layerscope.settings import UNIQUE, Name, Settings


class GeometrySettings(Settings):
    """The shape of layers, beside their scores."""

    run: bool = True
    """Whether the shape of layers is described (`results/tables/geometry.tsv`, `alignment.tsv`)."""
    conditions: Annotated[tuple[Name, ...], *UNIQUE] = ()
    """The conditions of which it is described; where none is named, all."""
    cells: int = Field(default=2000, ge=50)
    """Cells sampled for the shape of a layer."""
    alignment_cells: int = Field(default=1000, ge=50)
    """Cells sampled for the alignment of layers, whose memory grows with their square."""
