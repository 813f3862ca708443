"""What a study may set for the shape of layers."""

from __future__ import annotations

from pydantic import Field

from layerscope.settings import Settings


class GeometrySettings(Settings):
    """The shape of layers, beside their scores."""

    run: bool = True
    """Whether the shape of layers is described (`results/tables/geometry.tsv`, `alignment.tsv`)."""
    cells: int = Field(default=2000, ge=50)
    """Cells sampled for the shape of a layer."""
    alignment_cells: int = Field(default=1000, ge=50)
    """Cells sampled for the alignment of layers, whose memory grows with their square."""
