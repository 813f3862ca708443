"""What a study may set for its trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from layerscope.errors import ConfigError
from layerscope.trajectory.neighbours import METRICS, Metric


@dataclass(frozen=True, kw_only=True)
class TrajectorySettings:
    """Settings of a trajectory's scores.

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
        Bootstrap resamples of the interval.
    splits
        Random halves of the cells on which the choice of a layer is tried out.
    """

    neighbours: int = 15
    metric: Metric = "cosine"
    components: int = 15
    dpt_components: int = 10
    resamples: int = 1000
    splits: int = 100

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TrajectorySettings:
        """Check settings as they come from a config.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value is not of its kind.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ConfigError(
                f"trajectory settings: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        least = {"neighbours": 3, "components": 3, "dpt_components": 2, "resamples": 0, "splits": 0}
        for name, smallest in least.items():
            value = given.get(name, smallest)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise ConfigError(
                    f"trajectory settings: {name} must be a whole number from {smallest}, found {value!r}"
                )
        if given.get("metric", "cosine") not in METRICS:
            raise ConfigError(
                f"trajectory settings: metric must be {' or '.join(METRICS)}, found {given['metric']!r}"
            )
        return cls(**given)
