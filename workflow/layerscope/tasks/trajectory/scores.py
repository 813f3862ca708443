"""What the protocols share: who is scored, a layer's pseudotime, and the interval of a score.

The uncertainty of everything that a pseudotime enters comes from disjoint halves of the cells
(:mod:`layerscope.statistics.splits`): on each the graph is built anew. Cells of one clone are sisters and
stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse.linalg import ArpackNoConvergence

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import spearman_by_row
from layerscope.statistics.splits import Splits
from layerscope.tables import Score
from layerscope.tasks.jobs import Scored
from layerscope.tasks.trajectory.graph import NeighbourGraph, graph_of
from layerscope.tasks.trajectory.layer_search import MIN_CELLS, Cells, Part, UndefinedPseudotimeError
from layerscope.tasks.trajectory.pseudotime import DiffusionMap, diffusion_map, diffusion_pseudotime
from layerscope.tasks.trajectory.references import COMPUTED, COMPUTED_FROM, Reference
from layerscope.tasks.trajectory.settings import TrajectorySettings

Floats = npt.NDArray[np.float64]
Missing = Literal["undefined", "not_available"]
"""Statuses of rows without a number."""

SPEARMAN = "spearman"
SPEARMAN_TRUTH = "spearman_true_pseudotime"
SHARE_UNREACHABLE = "share_unreachable"
CELLS_IN_PART = 2000
"""Cells in a part of a split at most; halves of larger data are not searched whole for an interval."""
TOLERANCE_ON_PARTS = 1e-4
"""Relative error of eigenvalues on parts of the cells, far below the differences between parts."""
CHOSEN_ON, SCORED_ON = "@chosen_on", "@scored_on"
"""Endings of the names under which a metric's values on the two parts of each split are stored."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is scored: a row's first columns, and what the embeddings say of themselves."""

    condition: str
    model: str
    layer: str
    depth: float
    family: str = ""
    seed: int = 0
    protocol: str = "paper"

    def row(self, metric: str) -> Score:
        """A row of this subject, without numbers yet."""
        return Score(
            condition=self.condition,
            model=self.model,
            layer=self.layer,
            depth=self.depth,
            task="trajectory",
            protocol=self.protocol,
            metric=metric,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Comparison:
    """A layer's comparison with a reference by one protocol."""

    reference: Reference
    subject: Subject
    settings: TrajectorySettings
    splits: Splits

    @classmethod
    def of(
        cls, reference: Reference, subject: Subject, settings: TrajectorySettings, obs: pd.DataFrame | None
    ) -> Comparison:
        """Split the cells of the reference; cells of one clone stay together."""
        units = [f"cell {name}" for name in reference.cell_ids]
        if obs is not None and "clone" in obs:
            clones = obs["clone"].astype(str)
            units = [f"clone {clone}" if clone else unit for clone, unit in zip(clones, units, strict=True)]
        splits = Splits.of(units, subject.seed, settings.halvings, CELLS_IN_PART)
        return cls(reference, subject, settings, splits)

    def parts(self, always: Sequence[int] = ()) -> list[Cells]:
        """Cells in the first parts of all splits, then in the second; some of them always."""
        indices = np.asarray(always, dtype=np.intp)
        return [
            np.union1d(np.flatnonzero(part), indices) for part in (*self.splits.first, *self.splits.second)
        ]


def diffusion_of(graph: NeighbourGraph, n_components: int, tolerance: float = 0.0) -> DiffusionMap:
    """Diffusion map of a graph (see :func:`layerscope.tasks.trajectory.pseudotime.diffusion_map`).

    Raises
    ------
    UndefinedPseudotimeError
        If the eigenvalue iteration does not converge (many nearly separate components).
    """
    try:
        return diffusion_map(graph, n_components, tolerance)
    except ArpackNoConvergence as error:
        raise UndefinedPseudotimeError(
            f"the diffusion map did not converge (graph of {graph.n_components} components)"
        ) from error


def pseudotime_of(
    part: Part, root: int, n_cells: int, settings: TrajectorySettings, tolerance: float = 0.0
) -> tuple[Floats, list[str]]:
    """Diffusion pseudotime of searched cells from one root.

    Parameters
    ----------
    part
        The cells and their neighbours.
    root
        Index of the root among all ``n_cells`` cells of the condition.
    n_cells
        Number of these.
    settings
        Neighbours and components.
    tolerance
        Relative error of the eigenvalues.

    Returns
    -------
    Pseudotime, shape ``(n_cells,)``: NaN for cells that are not in the part, ``inf`` for cells that the root
    cannot reach; and remarks on what was left out.

    Raises
    ------
    UndefinedPseudotimeError
        If the cells have no pseudotime.
    """
    place = int(np.searchsorted(part.cells, root))
    if place == len(part.cells) or part.cells[place] != root:
        raise UndefinedPseudotimeError("the root cell was refused by the model")
    graph = graph_of(part.neighbours.first(settings.neighbours))
    diffusion = diffusion_of(graph, settings.components, tolerance)
    of_part = diffusion_pseudotime(diffusion, [place], settings.dpt_components)[0]
    pseudotime = np.full(n_cells, np.nan)
    pseudotime[part.cells] = of_part
    remarks = []
    if graph.n_components > 1:
        share = np.isinf(of_part).mean()
        remarks.append(f"{share:.1%} of cells unreachable (graph of {graph.n_components} components)")
    return pseudotime, remarks


def correlation(pseudotime: npt.ArrayLike, target: npt.ArrayLike) -> float:
    """Spearman over the cells where both are finite; NaN if they are too few, or either is constant."""
    return float(correlations(np.asarray(pseudotime)[None], target)[0])


def correlations(pseudotimes: npt.NDArray[np.floating], target: npt.ArrayLike) -> Floats:
    """:func:`correlation` of each of many pseudotimes, shape ``(n_pseudotimes,)``."""
    goal = np.asarray(target)
    n_cells = (np.isfinite(pseudotimes) & np.isfinite(goal)).sum(axis=1)
    return np.where(n_cells >= MIN_CELLS, spearman_by_row(pseudotimes, goal), np.nan)


def on_parts(
    parts: Sequence[Part | UndefinedPseudotimeError],
    metrics: Iterable[str],
    evaluate: Callable[[Part], Mapping[str, float]],
) -> dict[str, tuple[Floats, Floats]]:
    """Scores on both parts of every split, metric by metric; NaN where a part has no pseudotime.

    Parameters
    ----------
    parts
        As :meth:`Comparison.parts` has them, searched.
    metrics
        Metrics to keep.
    evaluate
        Gives all metrics' scores on some cells.
    """
    values = {metric: np.full(len(parts), np.nan) for metric in metrics}
    for number, part in enumerate(parts):
        if isinstance(part, UndefinedPseudotimeError):
            continue
        try:
            scores = evaluate(part)
        except UndefinedPseudotimeError:
            continue
        for metric, of_parts in values.items():
            of_parts[number] = scores[metric]
    half = len(parts) // 2
    return {metric: (of_parts[:half], of_parts[half:]) for metric, of_parts in values.items()}


def add_score(
    scored: Scored, row: Score, estimate: float, parts: tuple[Floats, Floats], comparison: Comparison
) -> None:
    """Add a score with the interval that its values on disjoint parts give."""
    settings = comparison.settings
    values = comparison.splits.resamples(estimate, *parts, settings.resamples)
    low, high = percentile_interval(values)
    scored.rows.append(replace(row, estimate=estimate, ci_low=low, ci_high=high))
    scored.resamples[row.metric] = values
    for ending, part in zip((CHOSEN_ON, SCORED_ON), parts, strict=True):
        scored.resamples[row.metric + ending] = part[: settings.splits]


def unscored(subject: Subject, metrics: Sequence[str], status: Missing, reason: str) -> Scored:
    """Rows that say why there is no number."""
    return Scored([replace(subject.row(metric), status=status, reason=reason) for metric in metrics])


def made_the_reference(reference: Reference, subject: Subject) -> str:
    """Why a representation is no contender, if the reference was computed from it; else empty."""
    if reference.source == COMPUTED and subject.family == COMPUTED_FROM:
        return f"this representation made the reference ({COMPUTED}): 1 by construction"
    return ""


def share_unreachable(subject: Subject, pseudotime: Floats) -> Score:
    """Row of the share of embedded cells without a finite pseudotime; shape of ``pseudotime`` as it comes."""
    embedded = ~np.isnan(pseudotime)
    share = float(np.isinf(pseudotime[embedded]).mean())
    n_cells = int(embedded.any(axis=0).sum() if embedded.ndim > 1 else embedded.sum())
    return replace(subject.row(SHARE_UNREACHABLE), estimate=share, n_cells=n_cells, n_items=n_cells)
