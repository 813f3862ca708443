"""Settings of the task."""

from layerscope.settings import Resampled, Settings


class EvennessSettings(Resampled):
    """Settings of the one protocol."""

    power: int = 2
    """Of the values."""


class EvennessProtocols(Settings):
    """Settings of each protocol."""

    strict: EvennessSettings = EvennessSettings()
    """The one protocol."""
