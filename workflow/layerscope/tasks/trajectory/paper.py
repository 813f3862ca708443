"""Protocol ``paper``: what the paper's text says.

k-nearest-neighbour graph of the layer (k = 15, cosine), diffusion pseudotime from the data's root, Spearman's
correlation with the reference pseudotime. The interval is for this ONE root: how a score would vary between
roots, protocol ``strict`` says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerscope.arrays import Floating, Floats
from layerscope.tables import Subject
from layerscope.tasks.scored import NoScoreError, Scored, unscored
from layerscope.tasks.trajectory.layer_search import LayerSearch, Part, search_layer
from layerscope.tasks.trajectory.references import Reference
from layerscope.tasks.trajectory.scores import (
    SHARE_UNREACHABLE,
    SPEARMAN,
    TOLERANCE_ON_PARTS,
    Comparison,
    add_score,
    correlation,
    on_parts,
    pseudotime_of,
    share_unreachable,
    targets_of,
)
from layerscope.tasks.trajectory.settings import TrajectorySettings
from layerscope.tasks.trajectory.variants import varied_rows


def score_paper(
    matrix: Floating,
    reference: Reference,
    subject: Subject,
    settings: TrajectorySettings,
    obs: pd.DataFrame | None = None,
) -> Scored:
    """Score a layer (cells x hidden, cells as in ``reference``; rows that are not finite are refused cells).

    ``obs`` are the cells' standard columns: ``clone`` keeps sisters together in splits, ``true_pseudotime``
    of simulated cells adds a metric.
    """
    targets = targets_of(reference, obs)
    comparison = Comparison.of(reference, subject, settings, obs)
    try:
        search, pseudotime, remarks = searched(matrix, comparison, settings.neighbours)
    except NoScoreError as none:
        return unscored(subject, [*targets, SHARE_UNREACHABLE], none.status, str(none))
    scored = Scored()
    add_correlations(scored, comparison, search, pseudotime, targets, remarks)
    scored.rows.append(share_unreachable(subject, pseudotime))
    return scored


def searched(
    matrix: Floating, comparison: Comparison, neighbours: int
) -> tuple[LayerSearch, Floats, list[str]]:
    """So many neighbours in a layer, its pseudotime, and remarks; a NoScoreError where it has none."""
    reference, settings = comparison.reference, comparison.settings
    if reference.unavailable:
        raise NoScoreError("not_available", reference.unavailable)
    parts = comparison.parts(always=[reference.root])
    search = search_layer(matrix, neighbours, settings.metric, parts, settings.neighbours)
    pseudotime, remarks = pseudotime_of(search.whole, reference.root, len(matrix), settings)
    return search, pseudotime, [*search.remarks, *remarks]


def add_correlations(
    scored: Scored,
    comparison: Comparison,
    search: LayerSearch,
    pseudotime: Floats,
    targets: Mapping[str, Floats],
    remarks: list[str],
) -> None:
    """Add the correlations of a layer's pseudotime with target pseudotimes, metric by metric.

    That with a reference is undefined for what it was computed from. The root is in both halves of a split.
    """
    root, settings = comparison.reference.root, comparison.settings
    estimates = {metric: correlation(pseudotime, target) for metric, target in targets.items()}
    circular = {SPEARMAN: comparison.circular()}
    defined = [metric for metric in targets if not np.isnan(estimates[metric]) and not circular.get(metric)]

    def evaluate(part: Part) -> dict[str, float]:
        of_part, _ = pseudotime_of(part, root, len(pseudotime), settings, TOLERANCE_ON_PARTS)
        return {metric: correlation(of_part, targets[metric]) for metric in defined}

    parts = on_parts(search.parts, defined, evaluate) if defined else {}
    for metric, target in targets.items():
        n_cells = int((np.isfinite(pseudotime) & np.isfinite(target)).sum())
        if metric not in defined:
            reason = circular.get(metric) or f"no correlation over {n_cells} cells: too few, or constant"
            row = comparison.subject.row(metric, n_cells=n_cells, status="undefined", reason=reason)
            scored.rows.append(row)
            continue
        row = comparison.row(metric, n_cells, remarks)
        add_score(scored, row, estimates[metric], parts[metric], comparison)

    def score_of_variation() -> float:
        varied, _ = pseudotime_of(search.varied, root, len(pseudotime), settings)
        return correlation(varied, targets[SPEARMAN])

    (score,) = (row for row in scored.rows if row.metric == SPEARMAN)
    scored.rows += varied_rows(score, settings.metric, score_of_variation)
