"""Protocol ``paper``: what the paper's text says.

k-nearest-neighbour graph of the layer (k = 15, cosine), diffusion pseudotime from the data's root, Spearman's
correlation with the reference pseudotime, and a bootstrap interval over cells. The bootstrap draws cells of
the finished pseudotimes: it says how sure the correlation is for this graph and this root, not how it would
vary between graphs or roots (protocol ``strict`` says that).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.trajectory.references import Reference
from layerscope.trajectory.scores import (
    SHARE_UNREACHABLE,
    SPEARMAN,
    SPEARMAN_TRUTH,
    Scored,
    Subject,
    UndefinedPseudotimeError,
    add_correlation,
    layer_pseudotime,
    share_unreachable,
    unscored,
)
from layerscope.trajectory.settings import TrajectorySettings


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
    metrics = [*targets, SHARE_UNREACHABLE]
    if reference.unavailable:
        return unscored(subject, metrics, "not_available", reference.unavailable)
    try:
        pseudotime, remarks = layer_pseudotime(matrix, reference.root, settings, threads)
    except UndefinedPseudotimeError as undefined:
        return unscored(subject, metrics, "undefined", str(undefined))
    scored = Scored()
    for metric, target in targets.items():
        add_correlation(scored, metric, pseudotime, target, reference, subject, settings, remarks)
    scored.rows.append(share_unreachable(subject, pseudotime))
    return scored
