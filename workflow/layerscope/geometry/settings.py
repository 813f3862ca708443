"""What a study may set for the shape of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from layerscope.errors import ConfigError
from layerscope.geometry.alignment import MIN_CELLS


@dataclass(frozen=True, kw_only=True)
class GeometrySettings:
    """Settings of the geometry.

    Attributes
    ----------
    cells
        Cells of which the measures are had: a random sample where there are more.
    alignment_cells
        Likewise for the alignment, whose memory grows with their square.
    """

    cells: int = 5000
    alignment_cells: int = 2000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < MIN_CELLS:
                raise ConfigError(
                    f"{field.name}: expected a whole number of at least {MIN_CELLS}, found {value!r}"
                )

    @classmethod
    def read(cls, settings: Mapping[str, Any]) -> GeometrySettings:
        """Make settings from a mapping; what it does not name keeps its default."""
        names = [field.name for field in fields(cls)]
        unknown = [name for name in settings if name not in names]
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]!r}; expected some of {', '.join(names)}")
        return cls(**settings)
