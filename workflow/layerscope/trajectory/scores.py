"""Scores of one layer against a trajectory: protocol ``paper``.

k-nearest-neighbour graph of the layer, diffusion pseudotime from the data's root, Spearman's correlation with
the reference pseudotime, and a bootstrap interval over cells. The bootstrap draws cells of the finished
pseudotimes: it says how sure the correlation is for this graph and this root, not how it would vary between
graphs or roots (protocol ``strict`` says that).
"""

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
from layerscope.trajectory.graph import neighbour_graph
from layerscope.trajectory.pseudotime import diffusion_map, diffusion_pseudotime
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


def score_paper(
    matrix: npt.NDArray[np.floating],
    reference: Reference,
    subject: Subject,
    settings: TrajectorySettings,
    truth: npt.ArrayLike | None = None,
    threads: int = 1,
) -> Scored:
    """Score a layer by protocol ``paper``.

    Parameters
    ----------
    matrix
        The layer, cells x hidden, cells as in ``reference``; rows that are not finite are refused cells.
    reference
        Reference pseudotime and root.
    subject
        Names for the rows.
    settings
        Graph, diffusion map and resampling.
    truth
        True pseudotime of simulated cells, shape ``(n_cells,)``; adds a metric.
    threads
        Threads of the neighbour search.

    Returns
    -------
    Rows ``spearman``, ``spearman_true_pseudotime`` (if ``truth``) and ``share_unreachable``, with status
    ``undefined`` and a reason where a number does not exist.
    """
    targets = {SPEARMAN: reference.pseudotime}
    if truth is not None:
        targets[SPEARMAN_TRUTH] = np.asarray(truth, dtype=np.float64)
    scored = Scored()
    try:
        pseudotime, remarks = layer_pseudotime(matrix, reference.root, settings, threads)
    except UndefinedPseudotimeError as undefined:
        for metric in (*targets, SHARE_UNREACHABLE):
            scored.rows.append(replace(subject.row(metric), status="undefined", reason=str(undefined)))
        return scored
    for metric, target in targets.items():
        _add_correlation(scored, metric, pseudotime, target, reference, subject, settings, remarks)
    embedded = ~np.isnan(pseudotime)
    share = float(np.isinf(pseudotime[embedded]).mean())
    n_cells = int(embedded.sum())
    scored.rows.append(
        replace(subject.row(SHARE_UNREACHABLE), estimate=share, n_cells=n_cells, n_items=n_cells)
    )
    return scored


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
    kept = np.flatnonzero(np.isfinite(matrix).all(axis=1))
    needed = max(MINIMUM_CELLS, settings.neighbours + 1)
    if len(kept) < needed:
        raise UndefinedPseudotimeError(
            f"{len(kept)} of {len(matrix)} cells have an embedding; at least {needed} are needed"
        )
    if root not in kept:
        raise UndefinedPseudotimeError("the root cell was refused by the model")
    values = matrix[kept]
    if (values == values[0]).all():
        raise UndefinedPseudotimeError("constant layer: every cell has the same embedding")
    graph = neighbour_graph(values, settings.neighbours, settings.metric, threads)
    try:
        diffusion = diffusion_map(graph, settings.components)
    except ArpackNoConvergence as error:
        raise UndefinedPseudotimeError(
            f"the diffusion map did not converge (graph of {graph.n_components} components)"
        ) from error
    found = diffusion_pseudotime(diffusion, [int(np.searchsorted(kept, root))], settings.dpt_components)[0]
    pseudotime = np.full(len(matrix), np.nan)
    pseudotime[kept] = found
    remarks = []
    if len(kept) < len(matrix):
        remarks.append(f"{len(matrix) - len(kept)} refused cells left out")
    if graph.n_components > 1:
        share = np.isinf(found).mean()
        remarks.append(f"{share:.1%} of cells unreachable (graph of {graph.n_components} components)")
    return pseudotime, remarks


def _add_correlation(
    scored: Scored,
    metric: str,
    pseudotime: Floats,
    target: Floats,
    reference: Reference,
    subject: Subject,
    settings: TrajectorySettings,
    remarks: Sequence[str],
) -> None:
    """Add a metric's row, and its values in all resamples and halves, to what has been scored."""
    used = np.isfinite(pseudotime) & np.isfinite(target)
    n_cells = int(used.sum())
    against_reference = metric == SPEARMAN
    if against_reference and reference.source == COMPUTED and subject.family == COMPUTED_FROM:
        reason = f"this representation made the reference ({COMPUTED}): 1 by construction"
    elif n_cells < MINIMUM_CELLS:
        reason = f"{n_cells} cells have both pseudotimes; at least {MINIMUM_CELLS} are needed"
    else:
        reason = ""
    estimate = np.nan if reason else spearman(pseudotime[used], target[used])
    if np.isnan(estimate):
        reason = reason or "a pseudotime is constant over the cells that have both"
        scored.rows.append(replace(subject.row(metric), n_cells=n_cells, status="undefined", reason=reason))
        return
    if against_reference:
        remarks = [*_source_remarks(reference), *remarks]
    correlation = WeightedSpearman(pseudotime[used], target[used])
    cells, seed = reference.cell_ids, subject.seed
    counts = bootstrap_counts(seed, cells, settings.resamples)
    values = np.concatenate([np.empty(0), *(correlation(block[:, used]) for block in counts)])
    halves = half_splits(seed, cells, settings.splits)[:, used]
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


def _source_remarks(reference: Reference) -> list[str]:
    return [f"reference {reference.source}"] if reference.source == COMPUTED else []
