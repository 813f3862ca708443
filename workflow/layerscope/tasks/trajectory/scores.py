"""What the protocols share: who is scored, a layer's pseudotime, and the interval of a score.

The uncertainty of everything that a pseudotime enters comes from disjoint halves of the cells
(:mod:`layerscope.statistics.splits`): on each the graph is built anew. Cells of one clone are sisters and
stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse.linalg import ArpackNoConvergence

from layerscope.arrays import Floating, Floats
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import spearman_by_row
from layerscope.statistics.splits import Splits
from layerscope.tables import Score, Subject
from layerscope.tasks.scored import NoScoreError, Scored
from layerscope.tasks.trajectory.graph import NeighbourGraph, graph_of
from layerscope.tasks.trajectory.layer_search import MIN_CELLS, Cells, Part
from layerscope.tasks.trajectory.pseudotime import DiffusionMap, diffusion_map, diffusion_pseudotime
from layerscope.tasks.trajectory.references import COMPUTED, COMPUTED_FROM, Reference
from layerscope.tasks.trajectory.settings import TrajectorySettings

SPEARMAN = "spearman"
SPEARMAN_TRUTH = "spearman_true_pseudotime"
SHARE_UNREACHABLE = "share_unreachable"
CELLS_IN_PART = 2000
"""Cells in a part of a split at most; halves of larger data are not searched whole for an interval."""
TOLERANCE_ON_PARTS = 1e-4
"""Relative error of eigenvalues on parts of the cells, far below the differences between parts."""


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

    def circular(self) -> str:
        """Why agreement with the reference says nothing, if it was computed from this representation."""
        if self.reference.source == COMPUTED and self.subject.family == COMPUTED_FROM:
            return f"this representation made the reference ({COMPUTED}): 1 by construction"
        return ""

    def row(self, metric: str, n_cells: int, remarks: Sequence[str]) -> Score:
        """Row of a score, still without numbers; its remarks say if the reference was computed."""
        if metric == SPEARMAN and self.reference.source == COMPUTED:
            remarks = [f"reference {COMPUTED}", *remarks]
        n_items = len(self.splits.units)
        return self.subject.row(metric, n_cells=n_cells, n_items=n_items, reason="; ".join(remarks))

    def parts(self, always: Sequence[int] = ()) -> list[Cells]:
        """Cells in the first parts of all splits, then in the second; some of them always."""
        indices, parts = np.asarray(always, dtype=np.intp), (*self.splits.first, *self.splits.second)
        return [np.union1d(np.flatnonzero(part), indices) for part in parts]


def diffusion_of(graph: NeighbourGraph, n_components: int, tolerance: float = 0.0) -> DiffusionMap:
    """Diffusion map of a graph; NoScoreError where it has too many nearly separate components."""
    try:
        return diffusion_map(graph, n_components, tolerance)
    except ArpackNoConvergence as error:
        raise NoScoreError(
            "undefined", f"the diffusion map did not converge (graph of {graph.n_components} components)"
        ) from error


def pseudotime_of(
    part: Part, root: int, n_cells: int, settings: TrajectorySettings, tolerance: float = 0.0
) -> tuple[Floats, list[str]]:
    """Pseudotime of all cells from the one root, NaN outside the part, ``inf`` if not reached; remarks."""
    place = int(np.searchsorted(part.cells, root))
    if place == len(part.cells) or part.cells[place] != root:
        raise NoScoreError("undefined", "the root cell was refused by the model")
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


def correlations(pseudotimes: Floating, target: npt.ArrayLike) -> Floats:
    """:func:`correlation` of each of many pseudotimes, shape ``(n_pseudotimes,)``."""
    goal = np.asarray(target)
    n_cells = (np.isfinite(pseudotimes) & np.isfinite(goal)).sum(axis=1)
    return np.where(n_cells >= MIN_CELLS, spearman_by_row(pseudotimes, goal), np.nan)


def on_parts(
    parts: Sequence[Part | None],
    metrics: Iterable[str],
    evaluate: Callable[[Part], Mapping[str, float]],
) -> dict[str, tuple[Floats, Floats]]:
    """Scores on both parts of every split, metric by metric; NaN where a part has no pseudotime."""
    values = {metric: np.full(len(parts), np.nan) for metric in metrics}
    for number, part in enumerate(parts):
        if part is None:
            continue
        try:
            scores = evaluate(part)
        except NoScoreError:
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
    add_interval(scored, row, estimate, values, [part[: settings.splits] for part in parts])


def add_interval(
    scored: Scored, row: Score, estimate: float, values: Floats, halves: Sequence[Floats] = ()
) -> None:
    """Add a score, the values by which it is resampled, and the interval that these give."""
    low, high = percentile_interval(values)
    scored.add(replace(row, estimate=estimate, ci_low=low, ci_high=high), values, halves)


def targets_of(reference: Reference, obs: pd.DataFrame | None) -> dict[str, Floats]:
    """Pseudotimes to agree with, by metric: the reference, and the true one of simulated cells."""
    targets = {SPEARMAN: reference.pseudotime}
    if obs is not None and "true_pseudotime" in obs:
        targets[SPEARMAN_TRUTH] = obs["true_pseudotime"].to_numpy(dtype=np.float64)
    return targets


def share_unreachable(subject: Subject, pseudotime: Floats) -> Score:
    """Row of the share of embedded cells without a finite pseudotime; shape of ``pseudotime`` as it comes."""
    embedded = ~np.isnan(pseudotime)
    share = float(np.isinf(pseudotime[embedded]).mean())
    n_cells = int(embedded.any(axis=0).sum() if embedded.ndim > 1 else embedded.sum())
    return subject.row(SHARE_UNREACHABLE, estimate=share, n_cells=n_cells, n_items=n_cells)
