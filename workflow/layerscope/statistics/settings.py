"""What a study may set for the choice of a layer."""

from __future__ import annotations

from pydantic import Field

from layerscope.settings import Settings


class ChoiceSettings(Settings):
    """The choice of a layer."""

    margin: float = Field(default=0.02, gt=0, lt=1)
    """A layer is as good as another if it is shown to score less than this below it; as a share of the
    metric's range (1 for an F1, 2 for a correlation)."""
