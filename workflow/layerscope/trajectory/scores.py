"""What the protocols share: who is scored, a layer's pseudotime, and its correlation with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackNoConvergence

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import WeightedSpearman, spearman
from layerscope.statistics.resampling import bootstrap_counts, half_splits
from layerscope.tables import Score
from layerscope.trajectory.graph import NeighbourGraph, neighbour_graph
from layerscope.trajectory.pseudotime import DiffusionMap, diffusion_map, diffusion_pseudotime
from layerscope.trajectory.references import COMPUTED, COMPUTED_FROM, Reference
from layerscope.trajectory.settings import TrajectorySettings

Floats = npt.NDArray[np.float64]

SPEARMAN = "spearman"
SPEARMAN_TRUTH = "spearman_true_pseudotime"
SHARE_UNREACHABLE = "share_unreachable"
MINIMUM_CELLS = 20
"""Fewer cells than this with both pseudotimes give no score."""
CHOSEN_ON, SCORED_ON = "@chosen_on", "@scored_on"
"""Endings of the names under which a metric's values on the two halves of each split are stored."""


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


@dataclass
class Scored:
    """Score rows and their bootstrap values, metric by metric."""

    rows: list[Score] = field(default_factory=list)
    resamples: dict[str, Floats] = field(default_factory=dict)


class UndefinedPseudotimeError(Exception):
    """A layer has no pseudotime; the message says why. Caught where rows are made, never a failure."""


def embedded_cells(
    matrix: npt.NDArray[np.floating], neighbours: int
) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Indices of the cells that were not refused, and a remark if some were.

    Raises
    ------
    UndefinedPseudotimeError
        If they are too few for a graph, or all the same.
    """
    kept = np.flatnonzero(np.isfinite(matrix).all(axis=1))
    needed = max(MINIMUM_CELLS, neighbours + 1)
    if len(kept) < needed:
        raise UndefinedPseudotimeError(
            f"{len(kept)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
        )
    if (matrix[kept] == matrix[kept[0]]).all():
        raise UndefinedPseudotimeError("constant layer: every cell has the same embedding")
    n_refused = len(matrix) - len(kept)
    return kept, [f"{n_refused} refused cells left out"] if n_refused else []


def diffusion_of(graph: NeighbourGraph, n_components: int) -> DiffusionMap:
    """Diffusion map of a graph.

    Raises
    ------
    UndefinedPseudotimeError
        If the eigenvalue iteration does not converge (many nearly separate components).
    """
    try:
        return diffusion_map(graph, n_components)
    except ArpackNoConvergence as error:
        raise UndefinedPseudotimeError(
            f"the diffusion map did not converge (graph of {graph.n_components} components)"
        ) from error


def layer_pseudotime(
    matrix: npt.NDArray[np.floating], root: int, settings: TrajectorySettings, threads: int = 1
) -> tuple[Floats, list[str]]:
    """Diffusion pseudotime of a layer from one root.

    Returns
    -------
    Pseudotime, shape ``(n_cells,)``: NaN for refused cells, ``inf`` for cells that the root cannot reach; and
    remarks on what was left out.

    Raises
    ------
    UndefinedPseudotimeError
        If the layer has no pseudotime.
    """
    kept, remarks = embedded_cells(matrix, settings.neighbours)
    if root not in kept:
        raise UndefinedPseudotimeError("the root cell was refused by the model")
    graph = neighbour_graph(matrix[kept], settings.neighbours, settings.metric, threads)
    diffusion = diffusion_of(graph, settings.components)
    found = diffusion_pseudotime(diffusion, [int(np.searchsorted(kept, root))], settings.dpt_components)[0]
    pseudotime = np.full(len(matrix), np.nan)
    pseudotime[kept] = found
    if graph.n_components > 1:
        share = np.isinf(found).mean()
        remarks.append(f"{share:.1%} of cells unreachable (graph of {graph.n_components} components)")
    return pseudotime, remarks


def unscored(subject: Subject, metrics: Sequence[str], status: str, reason: str) -> Scored:
    """Rows that say why there is no number."""
    return Scored([_without_number(subject, metric, status, reason) for metric in metrics])


def _without_number(subject: Subject, metric: str, status: str, reason: str, n_cells: int = 0) -> Score:
    if status not in ("undefined", "not_available"):
        raise ValueError(f"a row with status {status!r} needs a number")
    row = replace(subject.row(metric), n_cells=n_cells, reason=reason)
    return replace(row, status="undefined") if status == "undefined" else replace(row, status="not_available")


def add_correlation(
    scored: Scored,
    metric: str,
    pseudotime: Floats,
    target: Floats,
    reference: Reference,
    subject: Subject,
    settings: TrajectorySettings,
    remarks: Sequence[str],
) -> None:
    """Add the Spearman correlation of two pseudotimes over the cells where both are finite.

    Adds the row of ``metric`` and its values in all resamples and halves to ``scored``. A correlation with
    the reference (metric :data:`SPEARMAN`) is undefined for the representation that made the reference.
    """
    used = np.isfinite(pseudotime) & np.isfinite(target)
    n_cells = int(used.sum())
    reason = made_the_reference(reference, subject) if metric == SPEARMAN else ""
    if not reason and n_cells < MINIMUM_CELLS:
        reason = f"{n_cells} cells have both pseudotimes; at least {MINIMUM_CELLS} are needed"
    estimate = np.nan if reason else spearman(pseudotime[used], target[used])
    if np.isnan(estimate):
        reason = reason or "a pseudotime is constant over the cells that have both"
        scored.rows.append(_without_number(subject, metric, "undefined", reason, n_cells))
        return
    if metric == SPEARMAN and reference.source == COMPUTED:
        remarks = [f"reference {reference.source}", *remarks]
    correlation = WeightedSpearman(pseudotime[used], target[used])
    counts = bootstrap_counts(subject.seed, reference.cell_ids, settings.resamples)
    values = np.concatenate([np.empty(0), *(correlation(block[:, used]) for block in counts)])
    halves = half_splits(subject.seed, reference.cell_ids, settings.splits)[:, used]
    low, high = percentile_interval(values)
    scored.resamples[metric] = values
    scored.resamples[metric + CHOSEN_ON] = correlation(halves.astype(np.int32))
    scored.resamples[metric + SCORED_ON] = correlation((~halves).astype(np.int32))
    scored.rows.append(
        replace(
            subject.row(metric),
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            n_cells=n_cells,
            n_items=n_cells,
            reason="; ".join(remarks),
        )
    )


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
