"""What a study may set for its trajectories, protocol by protocol."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from layerscope.settings import UNIQUE, Metric, Resampled, Settings

Neighbours = Annotated[int, Field(ge=3)]


class TrajectorySettings(Resampled):
    """Settings of protocol ``paper``, and what the others share with it."""

    neighbours: int = Field(default=15, ge=3)
    """Neighbours of a cell in the graph, the cell itself included."""
    metric: Metric = "cosine"
    """Distance between cells in a layer."""
    components: int = Field(default=15, ge=3)
    """Diffusion components computed, the constant one included."""
    dpt_components: int = Field(default=10, ge=2)
    """Leading diffusion components that enter the pseudotime."""
    halvings: int = Field(default=20, ge=2)
    """Times that the cells are cut into two random halves, each with a graph of its own: the source of the
    intervals."""


class ReleasedSettings(TrajectorySettings):
    """Settings of protocol ``released``: scanpy's defaults, with more neighbours."""

    neighbours: int = Field(default=30, ge=3)
    """Neighbours of a cell in the graph, the cell itself included."""
    metric: Metric = "euclidean"
    """Distance between cells in a layer."""
    pairs: int = Field(default=5000, ge=100)
    """Random pairs of cells whose difference in pseudotime is correlated with their distance."""


class StrictSettings(TrajectorySettings):
    """Settings of protocol ``strict``; ``neighbours`` is for a reference that has to be computed."""

    neighbourhoods: Annotated[tuple[Neighbours, ...], Field(min_length=1), *UNIQUE] = (10, 15, 30, 50)
    """Numbers of neighbours that are all tried."""
    roots: int = Field(default=25, ge=1)
    """Root cells, drawn from the root set where that is larger."""
    least_roots: int = Field(default=20, ge=1)
    """A smaller root set gives no score."""
    folds: int = Field(default=5, ge=2)
    """Parts into which clones are divided: a clone's fate is predicted from the other parts."""
    clones_per_fate: int = Field(default=10, ge=2)
    """A fate that fewer clones have is not predicted."""


class TrajectoryProtocols(Settings):
    """Settings of the task ``trajectory``, by protocol."""

    paper: TrajectorySettings = TrajectorySettings()
    """The paper's text."""
    released: ReleasedSettings = ReleasedSettings()
    """The authors' code."""
    strict: StrictSettings = StrictSettings()
    """Intervals, several graphs and roots, sampling times and clones."""
