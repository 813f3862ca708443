"""What a study may set for its trajectories, protocol by protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from layerscope.errors import ConfigError
from layerscope.tasks.settings import checked, is_whole
from layerscope.tasks.trajectory.neighbours import METRICS, Metric


@dataclass(frozen=True, kw_only=True)
class TrajectorySettings:
    """Settings of protocol ``paper``, and what the others share with it.

    Attributes
    ----------
    neighbours
        Neighbours of a cell in the graph, the cell itself included.
    metric
        ``"cosine"`` or ``"euclidean"``.
    components
        Diffusion components computed, the constant one included.
    dpt_components
        Leading components that enter the pseudotime (scanpy's default: 10).
    resamples
        Values by which the interval, and comparisons between layers, are resampled.
    halvings
        Times that the cells are cut into two random halves on which everything is computed again: the source
        of the intervals.
    splits
        Halvings on which the choice of a layer is tried out, as many as there are.
    """

    neighbours: int = 15
    metric: Metric = "cosine"
    components: int = 15
    dpt_components: int = 10
    resamples: int = 1000
    halvings: int = 20
    splits: int = 100

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Check settings as they come from a config.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value is not of its kind.
        """
        return checked(cls, given, "trajectory", _expected)


@dataclass(frozen=True, kw_only=True)
class ReleasedSettings(TrajectorySettings):
    """Settings of protocol ``released``: scanpy's defaults, with more neighbours.

    Attributes
    ----------
    pairs
        Random pairs of cells whose distances are compared.
    """

    neighbours: int = 30
    metric: Metric = "euclidean"
    pairs: int = 5000


@dataclass(frozen=True, kw_only=True)
class StrictSettings(TrajectorySettings):
    """Settings of protocol ``strict``.

    Attributes
    ----------
    neighbourhoods
        Numbers of neighbours of the graphs (``neighbours`` is for a reference that has to be computed).
    roots
        Root cells, drawn from the root set where that is larger.
    least_roots
        A smaller root set gives no score.
    folds
        Parts into which clones are divided: a clone's fate is predicted from the other parts.
    clones_per_fate
        A fate that fewer clones have is not predicted.
    """

    neighbourhoods: tuple[int, ...] = (10, 15, 30, 50)
    roots: int = 25
    least_roots: int = 20
    folds: int = 5
    clones_per_fate: int = 10


PROTOCOLS: dict[str, type[TrajectorySettings]] = {
    "paper": TrajectorySettings,
    "released": ReleasedSettings,
    "strict": StrictSettings,
}
SMALLEST = {
    "neighbours": 3,
    "components": 3,
    "dpt_components": 2,
    "resamples": 0,
    "halvings": 0,
    "splits": 0,
    "pairs": 10,
    "neighbourhoods": 3,
    "roots": 1,
    "least_roots": 1,
    "folds": 2,
    "clones_per_fate": 2,
}


def _expected(name: str, value: Any) -> str:
    """What a setting must be, if it is not."""
    if name == "metric":
        return "" if value in METRICS else " or ".join(METRICS)
    several, least = name == "neighbourhoods", SMALLEST[name]
    numbers = value if several and isinstance(value, list) and value else [value]
    if all(is_whole(number, least) for number in numbers):
        return ""
    return f"a whole number from {least}{', or several in a list' if several else ''}"


def settings_of(protocol: str, given: Mapping[str, Any]) -> TrajectorySettings:
    """Settings of a protocol, checked, with its defaults.

    Raises
    ------
    ConfigError
        If there is no such protocol, or a setting is wrong.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no trajectory protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[protocol].read(given)
