"""Protocol ``strict``: what a sceptical referee accepts.

Diffusion pseudotimes from a SET of roots on graphs of several sizes; the median over roots and graphs is the
score, the quartiles over them are rows of their own. Primary is agreement with what was observed and not
computed: the order of the sampling times among cells of the same batch (Somers' D; tau-b beside it) and,
where cells carry clonal barcodes, the order of sister cells sampled at different times and the fates of
clones (:mod:`layerscope.trajectory.clones`). Agreement with the reference pseudotime is secondary. Cells that
a root cannot reach agree with nothing, and are counted.

Intervals draw cells (clones, for the clonal scores) of finished pseudotimes, by the first-order bootstrap of
:mod:`layerscope.statistics.concordance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.statistics.concordance import order_concordance, spearman_influence
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.ranks import spearman
from layerscope.statistics.resampling import bootstrap_counts, generator, half_splits
from layerscope.trajectory.clones import CLONE_ORDER, FATE_AUC, add_clonal_scores
from layerscope.trajectory.graph import graph_of
from layerscope.trajectory.neighbours import nearest_neighbours
from layerscope.trajectory.pseudotime import diffusion_pseudotime
from layerscope.trajectory.references import NoRootError, Reference, root_cells
from layerscope.trajectory.scores import (
    CHOSEN_ON,
    MINIMUM_CELLS,
    SCORED_ON,
    SHARE_UNREACHABLE,
    SPEARMAN,
    SPEARMAN_TRUTH,
    Floats,
    Scored,
    Subject,
    UndefinedPseudotimeError,
    diffusion_of,
    embedded_cells,
    made_the_reference,
    share_unreachable,
    unscored,
)
from layerscope.trajectory.settings import StrictSettings

SOMERS_D = "time_somers_d"
TAU_B = "time_tau_b"
SOMERS_D_ACROSS = "time_somers_d_across_batches"
NOT_WITHIN_BATCH = "no two cells of one batch differ in time"
QUARTILES = {"_roots_q25": 0.25, "_roots_q75": 0.75}


@dataclass(frozen=True)
class Pseudotimes:
    """Pseudotimes of a layer from many roots on many graphs.

    Attributes
    ----------
    values
        Shape ``(n_graphs, n_roots, n_cells)``; ``inf`` for unreachable, NaN for refused cells.
    neighbourhoods
        Numbers of neighbours of the graphs.
    remarks
        What was left out.
    """

    values: npt.NDArray[np.float32]
    neighbourhoods: tuple[int, ...]
    remarks: tuple[str, ...]

    def flat(self) -> npt.NDArray[np.float32]:
        """All pseudotimes, shape ``(n_graphs * n_roots, n_cells)``."""
        return self.values.reshape(-1, self.values.shape[2])


def score_strict(
    matrix: npt.NDArray[np.floating],
    reference: Reference,
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
    threads: int = 1,
) -> Scored:
    """Score a layer by protocol ``strict``.

    Parameters
    ----------
    matrix
        The layer, cells x hidden, cells as in ``reference`` and ``obs``; rows that are not finite are refused
        cells.
    reference
        Reference pseudotime (secondary).
    obs
        The cells' standard columns: ``is_root``, ``time``, ``batch``, ``clone``, ``cell_type``, and
        ``true_pseudotime`` of simulated cells.
    subject
        Names for the rows.
    settings
        Graphs, roots, resampling and clones.
    threads
        Threads of the neighbour search.

    Returns
    -------
    Rows of every metric; those that the cells' columns do not allow have status ``not_available``.
    """
    metrics = [SOMERS_D, TAU_B, SOMERS_D_ACROSS, SPEARMAN, CLONE_ORDER, FATE_AUC, SHARE_UNREACHABLE]
    metrics += [SPEARMAN_TRUTH] if SPEARMAN_TRUTH.removeprefix("spearman_") in obs else []
    roots, reason = root_set(obs, reference.cell_ids, settings, subject.seed)
    if reason:
        return unscored(subject, metrics, "not_available", reason)
    try:
        found = pseudotimes(matrix, roots, settings, threads)
    except UndefinedPseudotimeError as undefined:
        return unscored(subject, metrics, "undefined", str(undefined))
    scored = Scored()
    _add_time_scores(scored, found, obs, reference, subject, settings)
    _add_agreement(scored, SPEARMAN, found, reference.pseudotime, reference, subject, settings)
    if SPEARMAN_TRUTH in metrics:
        truth = obs["true_pseudotime"].to_numpy(dtype=np.float64)
        _add_agreement(scored, SPEARMAN_TRUTH, found, truth, reference, subject, settings)
    add_clonal_scores(scored, matrix, found.flat(), obs, subject, settings)
    scored.rows.append(share_unreachable(subject, found.flat().astype(np.float64)))
    return scored


def root_set(
    obs: pd.DataFrame, cell_ids: Sequence[str], settings: StrictSettings, seed: int
) -> tuple[npt.NDArray[np.intp], str]:
    """Indices of the root cells: the same for every layer and model of a condition; or why there are none."""
    try:
        candidates, words = root_cells(obs, "cells")
    except NoRootError:
        return np.empty(0, dtype=np.intp), "no root set: the cells have neither is_root nor time"
    if len(candidates) < settings.least_roots:
        return candidates, f"{len(candidates)} {words}; a root set needs {settings.least_roots}"
    if len(candidates) > settings.roots:
        by_name = candidates[np.argsort([cell_ids[cell] for cell in candidates])]
        names = [cell_ids[cell] for cell in by_name]
        candidates = np.sort(generator(seed, names, "roots").choice(by_name, settings.roots, replace=False))
    return candidates, ""


def pseudotimes(
    matrix: npt.NDArray[np.floating], roots: npt.NDArray[np.intp], settings: StrictSettings, threads: int = 1
) -> Pseudotimes:
    """Pseudotimes of a layer: one neighbour search, one eigen-decomposition per graph, all roots from it.

    Raises
    ------
    UndefinedPseudotimeError
        If the layer has no pseudotime, or all root cells were refused.
    """
    kept, remarks = embedded_cells(matrix, min(settings.neighbourhoods))
    usable = roots[np.isin(roots, kept)]
    if not usable.size:
        raise UndefinedPseudotimeError("all root cells were refused by the model")
    widths = tuple(k for k in settings.neighbourhoods if k < len(kept))
    search = nearest_neighbours(matrix[kept], max(widths), settings.metric, threads)
    values = np.full((len(widths), len(usable), len(matrix)), np.nan, dtype=np.float32)
    components = []
    for graph_values, width in zip(values, widths, strict=True):
        graph = graph_of(search.first(width))
        diffusion = diffusion_of(graph, settings.components)
        places = np.searchsorted(kept, usable)
        graph_values[:, kept] = diffusion_pseudotime(diffusion, places, settings.dpt_components)
        components.append(graph.n_components)
    if max(components) > 1:
        counts = ", ".join(f"{n} at k = {k}" for n, k in zip(components, widths, strict=True))
        remarks.append(f"connected components of the graphs: {counts}")
    return Pseudotimes(values, widths, tuple(remarks))


def _add_time_scores(
    scored: Scored,
    found: Pseudotimes,
    obs: pd.DataFrame,
    reference: Reference,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Concordance of pseudotimes with sampling times, within batches and across them."""
    metrics = [SOMERS_D, TAU_B, SOMERS_D_ACROSS]
    if "time" not in obs:
        scored.rows += unscored(subject, metrics, "not_available", "the cells have no time labels").rows
        return
    time = obs["time"].cat.codes.to_numpy().astype(np.int64)
    batch = pd.factorize(obs["batch"])[0] if "batch" in obs else np.zeros(len(obs), dtype=np.int64)
    used = np.flatnonzero((time >= 0) & ~np.isnan(found.flat()[0]))
    within, across = (
        order_concordance(found.flat()[:, used], time[used], strata[used])
        for strata in (batch, np.zeros(len(obs), dtype=np.int64))
    )
    draws = _Draws(used, reference.cell_ids, subject.seed, settings)
    for metric, values in (
        (SOMERS_D, within.somers_d),
        (TAU_B, within.tau_b),
        (SOMERS_D_ACROSS, across.somers_d),
    ):
        estimates = values()
        if np.isnan(estimates).any():
            reason = "one sampling time only" if metric == SOMERS_D_ACROSS else NOT_WITHIN_BATCH
            scored.rows += unscored(subject, [metric], "not_available", reason).rows
        else:
            _add_median(scored, metric, estimates, values, draws, found, subject)


def _add_agreement(
    scored: Scored,
    metric: str,
    found: Pseudotimes,
    target: Floats,
    reference: Reference,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Spearman with a pseudotime of all cells, over the cells that a root reaches."""
    reason = made_the_reference(reference, subject) if metric == SPEARMAN else ""
    if metric == SPEARMAN and reference.unavailable:
        scored.rows += unscored(subject, [metric], "not_available", reference.unavailable).rows
        return
    flat = found.flat()
    used = np.flatnonzero(np.isfinite(target) & ~np.isnan(flat[0]))
    estimates = np.full(len(flat), np.nan)
    influence = np.zeros((len(used), len(flat)))
    for column, values in enumerate(flat[:, used]):
        reached = np.isfinite(values)
        if reached.sum() >= MINIMUM_CELLS:
            estimates[column] = spearman(values[reached], target[used][reached])
            influence[reached, column] = (
                spearman_influence(values[reached], target[used][reached]) / reached.sum()
            )
    reason = reason or ("too few cells are reached" if np.isnan(estimates).all() else "")
    if reason:
        scored.rows += unscored(subject, [metric], "undefined", reason).rows
        return
    draws = _Draws(used, reference.cell_ids, subject.seed, settings)
    _add_median(
        scored,
        metric,
        estimates,
        lambda counts: estimates + (counts - 1.0) @ influence,
        draws,
        found,
        subject,
    )


@dataclass(frozen=True)
class _Draws:
    """Resamples and halves of the cells that a metric uses."""

    used: npt.NDArray[np.intp]
    cell_ids: Sequence[str]
    seed: int
    settings: StrictSettings

    def medians(self, values: Callable[[npt.NDArray[np.int32]], Floats]) -> Floats:
        """Median over roots and graphs in every bootstrap resample, shape ``(n_resamples,)``."""
        blocks = bootstrap_counts(self.seed, self.cell_ids, self.settings.resamples)
        medians = [np.nanmedian(values(block[:, self.used]), axis=1) for block in blocks]
        return np.concatenate([np.empty(0), *medians])

    def halves(self, values: Callable[[npt.NDArray[np.int32]], Floats]) -> tuple[Floats, Floats]:
        """The same in the two halves of every split, shape ``(n_splits,)`` each."""
        chosen = half_splits(self.seed, self.cell_ids, self.settings.splits)[:, self.used].astype(np.int32)
        first, second = (np.nanmedian(values(2 * half), axis=1) for half in (chosen, 1 - chosen))
        return first, second


def _add_median(
    scored: Scored,
    metric: str,
    estimates: Floats,
    values: Callable[[npt.NDArray[np.int32]], Floats],
    draws: _Draws,
    found: Pseudotimes,
    subject: Subject,
) -> None:
    """Add the median over roots and graphs with its interval, the quartiles, and each graph's own median."""
    resampled = draws.medians(values)
    low, high = percentile_interval(resampled)
    n_cells = len(draws.used)
    row = replace(subject.row(metric), n_cells=n_cells, n_items=n_cells, reason="; ".join(found.remarks))
    scored.rows.append(replace(row, estimate=float(np.nanmedian(estimates)), ci_low=low, ci_high=high))
    for ending, quantile in QUARTILES.items():
        scored.rows.append(
            replace(row, metric=metric + ending, estimate=float(np.nanquantile(estimates, quantile)))
        )
    by_graph = estimates.reshape(len(found.neighbourhoods), -1)
    for width, of_graph in zip(found.neighbourhoods, by_graph, strict=True):
        scored.rows.append(replace(row, metric=f"{metric}_k{width}", estimate=float(np.nanmedian(of_graph))))
    scored.resamples[metric] = resampled
    scored.resamples[metric + CHOSEN_ON], scored.resamples[metric + SCORED_ON] = draws.halves(values)
