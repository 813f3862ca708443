"""Protocol ``paper``: what the paper's text says.

k-nearest-neighbour graph of the layer (k = 15, cosine), diffusion pseudotime from the data's root, Spearman's
correlation with the reference pseudotime. The interval is for this ONE root: how a score would vary between
roots, protocol ``strict`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.tasks.jobs import Scored
from layerscope.tasks.trajectory.layer_search import LayerSearch, Part, UndefinedPseudotimeError, search_layer
from layerscope.tasks.trajectory.references import COMPUTED, Reference
from layerscope.tasks.trajectory.scores import (
    SHARE_UNREACHABLE,
    SPEARMAN,
    SPEARMAN_TRUTH,
    TOLERANCE_ON_PARTS,
    Comparison,
    Floats,
    Subject,
    add_score,
    correlation,
    made_the_reference,
    on_parts,
    pseudotime_of,
    share_unreachable,
    unscored,
)
from layerscope.tasks.trajectory.settings import TrajectorySettings
from layerscope.tasks.trajectory.variants import varied_rows


def score_paper(
    matrix: npt.NDArray[np.floating],
    reference: Reference,
    subject: Subject,
    settings: TrajectorySettings,
    obs: pd.DataFrame | None = None,
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
        Graph, diffusion map, splits and resampling.
    obs
        The cells' standard columns: ``clone`` keeps sisters together in splits, ``true_pseudotime`` of
        simulated cells adds a metric.

    Returns
    -------
    Rows ``spearman``, ``spearman_true_pseudotime`` (if the cells have one), ``spearman_centred``,
    ``spearman_unit_norm`` and ``share_unreachable``, with status ``undefined`` or ``not_available`` and a
    reason where a number does not exist.
    """
    targets = {SPEARMAN: reference.pseudotime}
    if obs is not None and "true_pseudotime" in obs:
        targets[SPEARMAN_TRUTH] = obs["true_pseudotime"].to_numpy(dtype=np.float64)
    metrics = [*targets, SHARE_UNREACHABLE]
    if reference.unavailable:
        return unscored(subject, metrics, "not_available", reference.unavailable)
    comparison = Comparison.of(reference, subject, settings, obs)
    parts = comparison.parts(always=[reference.root])
    try:
        search = search_layer(matrix, settings.neighbours, settings.metric, parts)
        pseudotime, remarks = pseudotime_of(search.whole, reference.root, len(matrix), settings)
    except UndefinedPseudotimeError as undefined:
        return unscored(subject, metrics, "undefined", str(undefined))
    scored = Scored()
    add_correlations(scored, comparison, search, pseudotime, targets, [*search.remarks, *remarks])
    scored.rows.append(share_unreachable(subject, pseudotime))
    return scored


def add_correlations(
    scored: Scored,
    comparison: Comparison,
    search: LayerSearch,
    pseudotime: Floats,
    targets: Mapping[str, Floats],
    remarks: list[str],
) -> None:
    """Add the correlations of a layer's pseudotime with target pseudotimes, metric by metric.

    A correlation with a reference (metric ``spearman``) is undefined for the representation that it was
    computed from. The root is in both parts of every split. The same correlation of the layer centred, and of
    cells of unit length, is added without intervals (:mod:`layerscope.tasks.trajectory.variants`).
    """
    reference, subject, settings = comparison.reference, comparison.subject, comparison.settings
    estimates = {metric: correlation(pseudotime, target) for metric, target in targets.items()}
    reasons = {SPEARMAN: made_the_reference(reference, subject)}
    defined = [metric for metric in targets if not np.isnan(estimates[metric]) and not reasons.get(metric)]

    def evaluate(part: Part) -> dict[str, float]:
        of_part, _ = pseudotime_of(part, reference.root, len(pseudotime), settings, TOLERANCE_ON_PARTS)
        return {metric: correlation(of_part, targets[metric]) for metric in defined}

    parts = on_parts(search.parts, defined, evaluate) if defined else {}
    for metric, target in targets.items():
        row = replace(subject.row(metric), n_cells=int((np.isfinite(pseudotime) & np.isfinite(target)).sum()))
        if metric not in defined:
            reason = reasons.get(metric) or f"no correlation over {row.n_cells} cells: too few, or constant"
            scored.rows.append(replace(row, status="undefined", reason=reason))
            continue
        source = [f"reference {COMPUTED}"] if metric == SPEARMAN and reference.source == COMPUTED else []
        row = replace(row, n_items=len(comparison.splits.units), reason="; ".join([*source, *remarks]))
        add_score(scored, row, estimates[metric], parts[metric], comparison)

    def score_of_variation() -> float:
        varied, _ = pseudotime_of(search.varied, reference.root, len(pseudotime), settings)
        return correlation(varied, targets[SPEARMAN])

    (score,) = (row for row in scored.rows if row.metric == SPEARMAN)
    scored.rows += varied_rows(score, settings.metric, score_of_variation)
