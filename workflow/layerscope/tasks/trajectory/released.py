"""Protocol ``released``: the arithmetic of the authors' public code, oddities included.

It differs from the paper's text, and the published numbers are those of this code. The oddities:

- the reference is no precomputed pseudotime: expression that is log-normalised already is normalised to
  10,000 and logged AGAIN, and a diffusion pseudotime is computed on 50 principal components of 2,500 highly
  variable genes of the result;
- both graphs have 30 neighbours and Euclidean distances (the text: 15, cosine);
- the root is the FIRST cell in the file among those of the earliest time, so that the order of rows matters;
- the Spearman correlation of pseudotime differences with embedding distances is taken over 5,000 random pairs
  of cells, which share cells and are not independent.

Unlike that code, neighbours are exact, so that the numbers do not depend on a random search.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Floating, Ints
from layerscope.cells.canonical import provenance, read_cells
from layerscope.chance import generator
from layerscope.statistics.ranks import WeightedSpearman, spearman
from layerscope.statistics.resampling import bootstrap_values
from layerscope.tables import Subject
from layerscope.tasks.scored import NoScoreError, Scored, unscored
from layerscope.tasks.trajectory.layer_search import Part
from layerscope.tasks.trajectory.neighbours import nearest_neighbours
from layerscope.tasks.trajectory.paper import add_correlations, searched
from layerscope.tasks.trajectory.references import Reference, computed_pseudotime
from layerscope.tasks.trajectory.scores import (
    SHARE_UNREACHABLE,
    SPEARMAN,
    Comparison,
    add_interval,
    share_unreachable,
)
from layerscope.tasks.trajectory.settings import ReleasedSettings

if TYPE_CHECKING:
    from anndata import AnnData

N_GENES = 2500
N_PRINCIPAL_COMPONENTS = 50
SCALE = 1e4
SOURCE = "computed on principal components of twice log-normalised expression"
OVERLAP = "neighbourhood_overlap"
DISTANCES = "spearman_pair_distances"


def released_reference(cells: str | Path, settings: ReleasedSettings) -> Reference:
    """Pseudotime, root and neighbourhoods; without times none, since the root is of the earliest."""
    expression = read_cells(cells)
    names = list(expression.obs_names)
    if "time" not in expression.obs:
        return Reference.missing(names, "the released code's root needs time labels; the cells have none")
    time = expression.obs["time"].cat.codes.to_numpy()
    root = int(np.flatnonzero(time == time[time >= 0].min())[0])
    components = twice_log_normalised_components(expression)
    pseudotime = computed_pseudotime(components, root, settings)
    root_source = f"first cell of the file at the earliest time, {expression.obs['time'].iloc[root]}"
    return Reference(names, pseudotime, root, SOURCE, root_source, neighbourhoods(components, settings))


def twice_log_normalised_components(cells: AnnData) -> npt.NDArray[np.float32]:
    """Principal components of expression that is normalised and logged twice, shape ``(n_cells, 50)``."""
    import scanpy

    once = provenance(cells)["values"] == "log_normalised"
    expression = cells.copy()
    for _ in range(1 if once else 2):
        scanpy.pp.normalize_total(expression, target_sum=SCALE)
        expression.uns.pop("log1p", None)
        scanpy.pp.log1p(expression)
    scanpy.pp.highly_variable_genes(expression, n_top_genes=min(N_GENES, expression.n_vars))
    expression = expression[:, expression.var["highly_variable"]].copy()
    n_components = min(N_PRINCIPAL_COMPONENTS, expression.n_vars - 1, expression.n_obs - 1)
    scanpy.pp.pca(expression, n_comps=n_components)
    return np.asarray(expression.obsm["X_pca"], dtype=np.float32)


def neighbourhoods(matrix: npt.ArrayLike, settings: ReleasedSettings) -> npt.NDArray[np.int64]:
    """The ``neighbours`` nearest OTHER cells of every cell, shape ``(n_cells, neighbours)``."""
    return nearest_neighbours(matrix, settings.neighbours + 1, settings.metric).indices[:, 1:]


def score_released(
    matrix: Floating,
    reference: Reference,
    subject: Subject,
    settings: ReleasedSettings,
    obs: pd.DataFrame | None = None,
) -> Scored:
    """Score a layer (cells x hidden, cells as in ``reference``; rows that are not finite are refused cells).

    ``neighbourhood_overlap`` is the mean share of a cell's neighbours in the reference that are its
    neighbours in the layer; ``spearman_pair_distances`` correlates distances in the layer with differences in
    pseudotime. ``clone`` of ``obs`` keeps sisters together in splits.
    """
    comparison = Comparison.of(reference, subject, settings, obs)
    try:
        # one neighbour more than the graph has: neighbourhoods are compared without the cell itself
        search, pseudotime, remarks = searched(matrix, comparison, settings.neighbours + 1)
    except NoScoreError as none:
        metrics = (SPEARMAN, OVERLAP, DISTANCES, SHARE_UNREACHABLE)
        return unscored(subject, metrics, none.status, str(none))
    scored = Scored()
    targets = {SPEARMAN: reference.pseudotime}
    add_correlations(scored, comparison, search, pseudotime, targets, remarks)
    _add_overlap(scored, comparison, search.whole)
    _add_pair_distances(scored, comparison, matrix, search.whole.cells, settings.pairs)
    scored.rows.append(share_unreachable(subject, pseudotime))
    return scored


def _add_overlap(scored: Scored, comparison: Comparison, whole: Part) -> None:
    """Add the overlap of neighbourhoods, whose bootstrap draws cells with their neighbourhoods."""
    reference = comparison.reference
    if reference.neighbours is None:
        raise ValueError("a reference of protocol released has neighbourhoods")
    cells, n_cells = whole.cells, len(reference.cell_ids)
    in_layer = cells[whole.neighbours.indices[:, 1:]]
    # a neighbour as one number: cell times the number of cells, plus neighbour
    lists = in_layer, reference.neighbours[cells]
    own, known = ((cells[:, None] * n_cells + neighbours).ravel() for neighbours in lists)
    shared = np.bincount(np.intersect1d(own, known, assume_unique=True) // n_cells, minlength=n_cells)
    overlap = shared / reference.neighbours.shape[1]
    values = bootstrap_values(
        lambda counts: counts[:, cells] @ overlap[cells] / counts[:, cells].sum(axis=1),
        comparison.subject.seed,
        reference.cell_ids,
        comparison.settings.resamples,
    )
    row = comparison.subject.row(OVERLAP, n_cells=len(cells), n_items=len(cells))
    add_interval(scored, row, float(overlap[cells].mean()), values)


def _add_pair_distances(
    scored: Scored,
    comparison: Comparison,
    matrix: Floating,
    cells: Ints,
    n_pairs: int,
) -> None:
    """Add the correlation over random pairs; a resample of cells draws a pair as both its cells are."""
    reference, subject = comparison.reference, comparison.subject
    random = generator(subject.seed, reference.cell_ids, "pairs")
    in_order = np.argsort(np.asarray(reference.cell_ids, dtype=np.str_), kind="stable")
    pairs = in_order[random.integers(0, len(in_order), size=(n_pairs, 2))]
    usable = np.zeros(len(matrix), dtype=bool)
    usable[cells] = True
    usable &= np.isfinite(reference.pseudotime)
    first, second = pairs[usable[pairs].all(axis=1) & (pairs[:, 0] != pairs[:, 1])].T
    distance = np.linalg.norm(matrix[first].astype(np.float64) - matrix[second], axis=1)
    difference = np.abs(reference.pseudotime[first] - reference.pseudotime[second])
    estimate = spearman(distance, difference)
    row = subject.row(DISTANCES, n_cells=len(cells), n_items=len(first))
    if np.isnan(estimate):
        reason = "the pairs have no differences to correlate"
        scored.rows.append(replace(row, status="undefined", reason=reason))
        return
    correlation = WeightedSpearman(distance, difference)
    values = bootstrap_values(
        lambda counts: correlation(counts[:, first] * counts[:, second]),
        subject.seed,
        reference.cell_ids,
        comparison.settings.resamples,
    )
    add_interval(scored, row, estimate, values)
