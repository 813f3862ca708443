"""Protocol ``strict``: what a sceptical referee accepts.

The score is the median over pseudotimes from a SET of roots on graphs of several sizes. Primary is agreement
with what was observed: the order of sampling times among cells of one batch and, with barcodes, the order of
sisters and the fates of clones (``clones``). The reference pseudotime is secondary. Unreachable cells agree
with nothing, and are counted. Intervals come from disjoint halves of the cells, each with a graph (the middle
one of the sizes) and roots of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Floating, Floats
from layerscope.chance import generator
from layerscope.statistics.concordance import order_concordance
from layerscope.tables import Subject
from layerscope.tasks.scored import Missing, NoScoreError, Scored, unscored
from layerscope.tasks.trajectory.clones import (
    CLONE_ORDER,
    FATE_AUC,
    Sisters,
    add_fates,
    sisters_of,
    without_labels,
)
from layerscope.tasks.trajectory.graph import graph_of
from layerscope.tasks.trajectory.layer_search import Cells, Part, search_layer
from layerscope.tasks.trajectory.neighbours import Neighbours
from layerscope.tasks.trajectory.pseudotime import diffusion_pseudotime
from layerscope.tasks.trajectory.references import NoRootError, Reference, root_cells
from layerscope.tasks.trajectory.scores import (
    SHARE_UNREACHABLE,
    SPEARMAN,
    TOLERANCE_ON_PARTS,
    Comparison,
    add_score,
    correlations,
    diffusion_of,
    on_parts,
    share_unreachable,
    targets_of,
)
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.variants import varied_rows

SOMERS_D = "time_somers_d"
TAU_B = "time_tau_b"
SOMERS_D_ACROSS = "time_somers_d_across_batches"
QUARTILES = {"_roots_q25": 0.25, "_roots_q75": 0.75}


@dataclass(frozen=True)
class Observed:
    """What pseudotimes are compared with, cell by cell."""

    time: npt.NDArray[np.int64]  # place of the sampling time among the times, -1 where unknown
    batch: npt.NDArray[np.int64]
    sisters: Sisters
    targets: dict[str, Floats]  # pseudotimes to agree with, by metric

    @classmethod
    def of(cls, obs: pd.DataFrame, reference: Reference) -> Observed:
        """Read the standard columns that there are."""
        unknown = np.full(len(obs), -1, dtype=np.int64)
        time = obs["time"].cat.codes.to_numpy().astype(np.int64) if "time" in obs else unknown
        batch = pd.factorize(obs["batch"])[0].astype(np.int64) if "batch" in obs else unknown
        return cls(time, batch, sisters_of(obs), targets_of(reference, obs))

    def scores(self, pseudotimes: Pseudotimes, cells: Cells) -> dict[str, Floats]:
        """Scores of pseudotimes of some cells, each without its root, which is first by construction."""
        values, roots = pseudotimes.matrix, pseudotimes.roots
        timed = self.time[cells] >= 0
        time, batch = self.time[cells][timed], self.batch[cells][timed]
        timed_root = np.where(timed[roots], np.cumsum(timed)[roots] - 1, -1)
        within = order_concordance(values[:, timed], time, batch, timed_root)
        across = order_concordance(values[:, timed], time, np.zeros_like(batch), timed_root)
        scores = {SOMERS_D: within.somers_d(), TAU_B: within.tau_b(), SOMERS_D_ACROSS: across.somers_d()}
        scores[CLONE_ORDER] = self.sisters.among(cells).order(values, roots)
        without_roots = values.copy()
        without_roots[np.arange(len(values)), roots] = np.inf
        for metric, target in self.targets.items():
            scores[metric] = correlations(without_roots, target[cells])
        return scores


@dataclass(frozen=True)
class Roots:
    """The root set of a condition, in the order in which roots are taken, and how many are at most."""

    cells: Cells
    n_taken: int

    def among(self, cells: Cells) -> Cells:
        """Places of the roots to take among some cells, whose sorted indices are given."""
        inside = self.cells[np.isin(self.cells, cells)][: self.n_taken]
        return np.sort(np.searchsorted(cells, inside))


def root_set(obs: pd.DataFrame, settings: StrictSettings, seed: int) -> tuple[Roots, str]:
    """Root cells, the same for every layer and model of a condition; or why there are none."""
    try:
        candidates, words = root_cells(obs, "cells")
    except NoRootError:
        return Roots(np.empty(0, dtype=np.intp), 0), "no root set: the cells have neither is_root nor time"
    names = obs.index[candidates].astype(str).tolist()
    by_name = candidates[np.argsort(np.asarray(names, dtype=np.str_), kind="stable")]
    roots = Roots(generator(seed, names, "roots").permutation(by_name), settings.roots)
    if len(candidates) < settings.least_roots:
        return roots, f"{len(candidates)} {words}; a root set needs {settings.least_roots}"
    return roots, ""


@dataclass(frozen=True)
class Pseudotimes:
    """Pseudotimes of some cells from many roots on many graphs."""

    matrix: npt.NDArray[np.float32]
    """Shape ``(n_graphs * n_roots, n_cells)``, graph by graph; ``inf`` for unreachable cells."""
    roots: Cells  # place of the root cell of each pseudotime, shape ``(n_graphs * n_roots,)``
    neighbourhoods: tuple[int, ...]  # numbers of neighbours of the graphs
    components: tuple[int, ...]  # connected components of the graphs


def pseudotimes_of(
    neighbours: Neighbours,
    roots: Cells,
    neighbourhoods: tuple[int, ...],
    settings: StrictSettings,
    tolerance: float = 0.0,
) -> Pseudotimes:
    """Pseudotimes of cells from roots (places among them): one eigen-decomposition per graph."""
    if not roots.size:
        raise NoScoreError("undefined", "all root cells were refused by the model")
    values, components = [], []
    for width in neighbourhoods:
        graph = graph_of(neighbours.first(width))
        diffusion = diffusion_of(graph, settings.components, tolerance)
        values.append(diffusion_pseudotime(diffusion, roots, settings.dpt_components))
        components.append(graph.n_components)
    every_root = np.tile(roots, len(neighbourhoods))
    return Pseudotimes(np.concatenate(values), every_root, neighbourhoods, tuple(components))


def score_strict(
    matrix: Floating,
    reference: Reference,
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> Scored:
    """Score a layer (cells x hidden, cells as in ``reference``; rows that are not finite are refused cells).

    ``obs`` are the cells' standard columns; scores that they do not allow have status ``not_available``.
    """
    metrics = [SOMERS_D, TAU_B, SOMERS_D_ACROSS, CLONE_ORDER, *targets_of(reference, obs)]
    metrics += [FATE_AUC, SHARE_UNREACHABLE]
    roots, reason = root_set(obs, settings, subject.seed)
    if reason:
        return unscored(subject, metrics, "not_available", reason)
    n_embedded = int(np.isfinite(matrix).all(axis=1).sum())
    graphs = tuple(k for k in settings.neighbourhoods if k < n_embedded) or (min(settings.neighbourhoods),)
    middle = sorted(settings.neighbourhoods)[len(settings.neighbourhoods) // 2]
    comparison = Comparison.of(reference, subject, settings, obs)
    try:
        search = search_layer(matrix, max(graphs), settings.metric, comparison.parts(), middle)
        cells = search.whole.cells
        pseudotimes = pseudotimes_of(search.whole.neighbours, roots.among(cells), graphs, settings)
    except NoScoreError as none:
        return unscored(subject, metrics, none.status, str(none))
    observed = Observed.of(obs, reference)
    scores = observed.scores(pseudotimes, cells)
    missing = {name: _missing(name, of, obs, observed, comparison) for name, of in scores.items()}
    defined = [metric for metric in scores if not missing[metric]]

    def evaluate(part: Part) -> dict[str, float]:
        part_roots = roots.among(part.cells)
        of_part = pseudotimes_of(part.neighbours, part_roots, (middle,), settings, TOLERANCE_ON_PARTS)
        return {metric: _median(values) for metric, values in observed.scores(of_part, part.cells).items()}

    parts = on_parts(search.parts, defined, evaluate) if defined else {}
    scored = Scored()
    remarks = [*search.remarks, *_remarks(pseudotimes)]
    for metric, of_metric in scores.items():
        if without := missing[metric]:
            scored.rows += unscored(subject, [metric], *without).rows
            continue
        row = comparison.row(metric, len(cells), remarks)
        add_score(scored, row, _median(of_metric), parts[metric], comparison)
        for name, value in _details(metric, of_metric, pseudotimes).items():
            scored.rows.append(replace(row, metric=name, estimate=value))

    def score_of_variation() -> float:
        varied = pseudotimes_of(search.varied.neighbours, roots.among(cells), graphs, settings)
        return _median(observed.scores(varied, cells)[SOMERS_D])

    (score,) = (row for row in scored.rows if row.metric == SOMERS_D)
    scored.rows += varied_rows(score, settings.metric, score_of_variation)
    add_fates(scored, matrix, obs, subject, settings)
    unreached = np.where(np.isfinite(pseudotimes.matrix), 0.0, np.inf)
    scored.rows.append(share_unreachable(subject, unreached))
    return scored


def _missing(
    metric: str, values: Floats, obs: pd.DataFrame, observed: Observed, comparison: Comparison
) -> tuple[Missing, str] | None:
    """Status and reason of a metric without a score; None if it has one."""
    reference, by_time = comparison.reference, metric in (SOMERS_D, TAU_B, SOMERS_D_ACROSS)
    if by_time and (reason := without_labels(obs, "time")):
        return "not_available", reason
    if metric == CLONE_ORDER and observed.sisters.reason:
        return "not_available", observed.sisters.reason
    if metric == SPEARMAN and reference.unavailable:
        return "not_available", reference.unavailable
    if metric == SPEARMAN and (circular := comparison.circular()):
        return "undefined", circular
    if not np.isnan(values).all():
        return None
    if metric == SOMERS_D_ACROSS:
        return "not_available", "the cells have one sampling time only"
    if by_time:
        return "not_available", "no two cells of one batch differ in time"
    if metric == CLONE_ORDER:
        return "undefined", "no sisters of several times have an embedding"
    return "undefined", "too few cells are reached from the roots, or a pseudotime is constant"


def _details(metric: str, scores: Floats, pseudotimes: Pseudotimes) -> dict[str, float]:
    """Quartiles over roots and graphs, and each graph's own median over roots."""
    details = {metric + ending: float(np.nanquantile(scores, share)) for ending, share in QUARTILES.items()}
    by_graph = scores.reshape(len(pseudotimes.neighbourhoods), -1)
    for width, of_graph in zip(pseudotimes.neighbourhoods, by_graph, strict=True):
        if not np.isnan(of_graph).all():
            details[f"{metric}_k{width}"] = float(np.nanmedian(of_graph))
    return details


def _median(scores: Floats) -> float:
    return float(np.nanmedian(scores)) if not np.isnan(scores).all() else float("nan")


def _remarks(pseudotimes: Pseudotimes) -> list[str]:
    if max(pseudotimes.components) == 1:
        return []
    graphs = zip(pseudotimes.components, pseudotimes.neighbourhoods, strict=True)
    counts = (f"{n} at k = {k}" for n, k in graphs)
    return [f"connected components of the graphs: {', '.join(counts)}"]
