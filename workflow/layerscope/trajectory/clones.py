"""Clonal truth: cells that carry the same barcode are sisters.

Two questions that no pseudotime was made for: do sisters sampled later come later, and do a clone's early
cells tell its fate? Clones are the units that are resampled and held out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.resampling import bootstrap_counts, generator, half_splits
from layerscope.trajectory.scores import CHOSEN_ON, SCORED_ON, Floats, Scored, Subject, unscored
from layerscope.trajectory.settings import StrictSettings

CLONE_ORDER = "clone_order"
FATE_AUC = "clone_fate_auc"
MINIMUM_CLONES = 10
MOST_EARLY_CELLS = 2000
"""Early cells that enter the prediction of fates; more are drawn from."""


def add_clonal_scores(
    scored: Scored,
    matrix: npt.NDArray[np.floating],
    pseudotimes: npt.NDArray[np.floating],
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Add the rows ``clone_order`` and ``clone_fate_auc``.

    Parameters
    ----------
    scored
        What the rows and resamples are added to.
    matrix
        The layer, cells x hidden.
    pseudotimes
        Shape ``(n_pseudotimes, n_cells)``; NaN for refused cells, ``inf`` for unreachable ones.
    obs
        Needs ``clone`` and ``time``, and ``cell_type`` for the fates.
    subject, settings
        Names for the rows; resamples, folds and clones per fate.
    """
    for metric, columns in ((CLONE_ORDER, ("clone", "time")), (FATE_AUC, ("clone", "time", "cell_type"))):
        lacking = [name for name in columns if name not in obs]
        if lacking:
            reason = f"the cells have no {' and no '.join(lacking)} labels"
            scored.rows += unscored(subject, [metric], "not_available", reason).rows
        elif metric == CLONE_ORDER:
            _add_order(scored, pseudotimes, obs, subject, settings)
        else:
            _add_fates(scored, matrix, obs, subject, settings)


def sister_pairs(obs: pd.DataFrame, usable: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Pairs of sisters sampled at different times.

    Returns
    -------
    Shape ``(n_pairs, 3)``: the earlier cell, the later cell, and their clone as an index into the names.
    """
    time = obs["time"].cat.codes.to_numpy()
    clone = obs["clone"].astype(str).to_numpy()
    of_clone = pd.Series(np.flatnonzero(usable & (clone != "") & (time >= 0)))
    pairs = [np.empty((0, 3), dtype=np.intp)]
    names: list[str] = []
    for name, members in of_clone.groupby(clone[of_clone], sort=True):
        cells = members.to_numpy()
        earlier, later = np.nonzero(time[cells][:, None] < time[cells])
        if earlier.size:
            pairs.append(np.stack([cells[earlier], cells[later], np.full(earlier.size, len(names))], axis=1))
            names.append(str(name))
    return np.concatenate(pairs), names


def _add_order(
    scored: Scored,
    pseudotimes: npt.NDArray[np.floating],
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Mean over clones of the share of sister pairs in order minus that out of order."""
    pairs, names = sister_pairs(obs, ~np.isnan(pseudotimes[0]))
    if len(names) < MINIMUM_CLONES:
        reason = f"{len(names)} clones have cells of several times; at least {MINIMUM_CLONES} are needed"
        scored.rows += unscored(subject, [CLONE_ORDER], "not_available", reason).rows
        return
    earlier, later, clone = pairs.T
    size = np.bincount(clone)
    draws = _Draws(obs, names, subject.seed, settings)
    order = np.empty((len(names), len(pseudotimes)))
    for column, values in enumerate(pseudotimes):
        both = np.isfinite(values[earlier]) & np.isfinite(values[later])
        difference = np.where(both, values[later], 0) - np.where(both, values[earlier], 0)
        order[:, column] = np.bincount(clone, weights=np.sign(difference)) / size

    def median(counts: npt.NDArray[np.int32]) -> Floats:
        return np.asarray(np.median(counts @ order / counts.sum(axis=1, keepdims=True), axis=1))

    estimate = float(np.median(order.mean(axis=0)))
    _add(scored, CLONE_ORDER, estimate, median, draws, len(np.unique(pairs[:, :2])), subject)


@dataclass(frozen=True)
class Fates:
    """Clones with early cells and a fate.

    Attributes
    ----------
    early
        Indices of early cells.
    clone
        Clone of each early cell, as an index into ``names``.
    names
        Clones.
    fate
        Fate of each clone, as an index into ``labels``.
    labels
        Fates that enough clones have.
    """

    early: npt.NDArray[np.intp]
    clone: npt.NDArray[np.intp]
    names: list[str]
    fate: npt.NDArray[np.intp]
    labels: list[str]


def clone_fates(obs: pd.DataFrame, usable: npt.NDArray[np.bool_], clones_per_fate: int, seed: int) -> Fates:
    """Fates of clones: the most frequent cell type among a clone's cells of the last time.

    Early cells are its cells of the first time. Cell types that root cells have (``is_root``) are no fates;
    a clone whose late cells are divided equally has none.

    Parameters
    ----------
    obs
        Columns ``clone``, ``time``, ``cell_type``, and ``is_root`` if there are roots.
    usable
        Cells with an embedding, shape ``(n_cells,)``.
    clones_per_fate
        A fate that fewer clones have is left out, with its clones.
    seed
        Of the draw of early cells where there are more than :data:`MOST_EARLY_CELLS`.
    """
    time = obs["time"].cat.codes.to_numpy()
    clone = obs["clone"].astype(str).to_numpy()
    kind = obs["cell_type"].astype(str).to_numpy()
    unfated = set(kind[obs["is_root"].to_numpy(dtype=bool)]) if "is_root" in obs else set()
    timed = time[time >= 0]
    late = (time == timed.max()) & (clone != "") & ~np.isin(kind, list(unfated | {"", "nan"}))
    early = (time == timed.min()) & (clone != "") & usable
    counts = pd.crosstab(clone[late], kind[late])
    highest = counts.eq(counts.max(axis=1), axis=0)
    clear = counts[highest.sum(axis=1) == 1].idxmax(axis=1)
    clear = clear[clear.index.isin(clone[early])]
    frequent = clear.value_counts()
    labels = sorted(frequent[frequent >= clones_per_fate].index)
    kept = clear[clear.isin(labels)].sort_index()
    cells = np.flatnonzero(early & np.isin(clone, kept.index))
    if len(cells) > MOST_EARLY_CELLS:
        names = obs.index[cells].astype(str).tolist()
        chosen = generator(seed, names, "early cells").choice(len(cells), MOST_EARLY_CELLS, replace=False)
        cells = cells[np.sort(np.argsort(names)[chosen])]
        kept = kept[kept.index.isin(clone[cells])]
    names = kept.index.astype(str).tolist()
    return Fates(
        cells,
        pd.Index(names).get_indexer(clone[cells]),
        names,
        pd.Index(labels).get_indexer(kept.to_numpy()),
        labels,
    )


def _add_fates(
    scored: Scored,
    matrix: npt.NDArray[np.floating],
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Mean over fates of the AUC with which held-out clones' early cells tell the clone's fate."""
    usable = np.isfinite(matrix).all(axis=1)
    fates = clone_fates(obs, usable, settings.clones_per_fate, subject.seed)
    if len(fates.labels) < 2:
        reason = (
            f"{len(fates.labels)} fates have {settings.clones_per_fate} clones with cells of the first "
            "and of the last time; at least 2 are needed"
        )
        scored.rows += unscored(subject, [FATE_AUC], "not_available", reason).rows
        return
    fold = generator(subject.seed, fates.names, "folds").permutation(len(fates.names)) % settings.folds
    predicted = predict_fates(matrix[fates.early], fates, fold)
    draws = _Draws(obs, fates.names, subject.seed, settings)
    everyone = np.ones((1, len(fates.names)), dtype=np.int32)

    def auc(counts: npt.NDArray[np.int32]) -> Floats:
        return mean_auc(predicted, fates.fate, fold, counts)

    _add(scored, FATE_AUC, float(auc(everyone)[0]), auc, draws, len(fates.early), subject)


def predict_fates(matrix: npt.NDArray[np.floating], fates: Fates, fold: npt.NDArray[np.integer]) -> Floats:
    """Predict the fates of clones from their early cells by ridge regression on other clones' early cells.

    Features are standardised; the penalty is the mean eigenvalue of the training cells' Gram matrix, so that
    it follows the scale and the number of features and nothing is tuned.

    Parameters
    ----------
    matrix
        Early cells x hidden.
    fates
        Their clones and fates.
    fold
        Part of each clone, shape ``(n_clones,)``: a part is predicted from the others.

    Returns
    -------
    Mean over a clone's early cells of the predicted membership, shape ``(n_clones, n_fates)``; comparable
    within a part.
    """
    of_cell = fold[fates.clone]
    member = np.eye(len(fates.labels))[fates.fate[fates.clone]]
    predicted = np.zeros_like(member)
    for part in np.unique(fold):
        train, test = of_cell != part, of_cell == part
        values = matrix[train].astype(np.float64)
        centre, spread = values.mean(axis=0), values.std(axis=0)
        spread[spread == 0] = 1
        values = (values - centre) / spread
        gram = values @ values.T
        penalty = np.trace(gram) / len(gram)
        dual = cho_solve(
            cho_factor(gram + (penalty or 1.0) * np.eye(len(gram))),
            member[train] - member[train].mean(axis=0),
        )
        predicted[test] = (matrix[test] - centre) / spread @ (values.T @ dual)
    sums = np.stack([np.bincount(fates.clone, weights=column) for column in predicted.T], axis=1)
    means: Floats = sums / np.bincount(fates.clone)[:, None]
    return means


def mean_auc(
    predicted: Floats,
    fate: npt.NDArray[np.intp],
    fold: npt.NDArray[np.integer],
    counts: npt.NDArray[np.int32],
) -> Floats:
    """Mean over fates of the area under the ROC curve, in resamples of clones.

    Only clones of the same part are compared: across parts, a part with more members of a fate has a training
    set with fewer, which pulls an uninformed prediction below 1/2.

    Parameters
    ----------
    predicted
        Shape ``(n_clones, n_fates)``.
    fate, fold
        Shape ``(n_clones,)``.
    counts
        Shape ``(n_resamples, n_clones)``.

    Returns
    -------
    Shape ``(n_resamples,)``; NaN where some fate has no clone to compare with another.
    """
    areas = []
    for label, scores in enumerate(predicted.T):
        won, compared = np.zeros((2, len(counts)))
        for part in np.unique(fold):
            members = np.flatnonzero((fate == label) & (fold == part))
            others = np.flatnonzero((fate != label) & (fold == part))
            above = (np.sign(scores[members][:, None] - scores[others]) + 1) / 2
            won += np.einsum("rm,mo,ro->r", counts[:, members], above, counts[:, others], optimize=True)
            compared += counts[:, members].sum(axis=1) * counts[:, others].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas.append(won / compared)
    mean: Floats = np.mean(areas, axis=0)
    return mean


class _Draws:
    """Resamples and halves of ALL clones of a condition, so that they are paired whichever a layer uses."""

    def __init__(self, obs: pd.DataFrame, names: list[str], seed: int, settings: StrictSettings) -> None:
        self._every = sorted(set(obs["clone"].astype(str)) - {""})
        self._used = np.searchsorted(self._every, names)
        self._seed, self._settings = seed, settings
        self.n_used = len(names)

    def resampled(self, values: Callable[[npt.NDArray[np.int32]], Floats]) -> Floats:
        blocks = bootstrap_counts(self._seed, self._every, self._settings.resamples)
        return np.concatenate([np.empty(0), *(values(block[:, self._used]) for block in blocks)])

    def halves(self, values: Callable[[npt.NDArray[np.int32]], Floats]) -> tuple[Floats, Floats]:
        chosen = half_splits(self._seed, self._every, self._settings.splits)[:, self._used].astype(np.int32)
        return values(chosen), values(1 - chosen)


def _add(
    scored: Scored,
    metric: str,
    estimate: float,
    values: Callable[[npt.NDArray[np.int32]], Floats],
    draws: _Draws,
    n_cells: int,
    subject: Subject,
) -> None:
    """Add a row with its interval, its bootstrap values and its values on halves of the clones."""
    resampled = draws.resampled(values)
    low, high = percentile_interval(resampled)
    scored.resamples[metric] = resampled
    scored.resamples[metric + CHOSEN_ON], scored.resamples[metric + SCORED_ON] = draws.halves(values)
    row = replace(subject.row(metric), estimate=estimate, ci_low=low, ci_high=high)
    scored.rows.append(replace(row, n_cells=n_cells, n_items=draws.n_used))
