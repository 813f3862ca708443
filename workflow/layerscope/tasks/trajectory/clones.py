"""Clonal truth: cells that carry the same barcode are sisters.

Two questions that no pseudotime was made for: do sisters sampled later come later, and do a clone's early
cells tell its fate? Clones are the units that are resampled and held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from layerscope.arrays import Bools, Floating, Floats, Integers, Ints
from layerscope.chance import generator
from layerscope.statistics.resampling import bootstrap_values
from layerscope.tables import Subject
from layerscope.tasks.scored import Scored, unscored
from layerscope.tasks.trajectory.scores import add_interval
from layerscope.tasks.trajectory.settings import StrictSettings

CLONE_ORDER = "clone_order"
FATE_AUC = "clone_fate_auc"
MIN_CLONES = 10
MAX_EARLY_CELLS = 2000  # early cells that enter the prediction of fates; more are drawn from


@dataclass(frozen=True)
class Sisters:
    """Pairs of cells of one clone sampled at different times."""

    earlier: Ints
    later: Ints  # indices of the two cells, shape ``(n_pairs,)``
    clone: Ints  # clone of each pair as a number
    reason: str = ""  # why there are none to compare; empty where there are

    def among(self, cells: Ints) -> Sisters:
        """The pairs within some cells, as places among these; ``cells`` sorted."""
        both = np.isin(self.earlier, cells) & np.isin(self.later, cells)
        earlier, later = (np.searchsorted(cells, of[both]) for of in (self.earlier, self.later))
        return Sisters(earlier, later, self.clone[both], self.reason)

    def order(self, pseudotimes: Floating, roots: Ints) -> Floats:
        """Mean over clones of the share of pairs in order minus that out of order, of each pseudotime.

        Pairs with an unreachable cell are neither; pairs with the root, first by construction, are left out.
        """
        clone = np.unique(self.clone, return_inverse=True)[1]
        means = np.full(len(pseudotimes), np.nan)
        for place, (values, root) in enumerate(zip(pseudotimes, roots, strict=True)):
            earlier, later = values[self.earlier], values[self.later]
            reached = np.isfinite(earlier) & np.isfinite(later)
            sign = np.where(reached, (later > earlier).astype(float) - (later < earlier), 0)
            counted = (self.earlier != root) & (self.later != root)
            size = np.bincount(clone[counted])
            sums = np.bincount(clone[counted], weights=sign[counted])
            if size.any():
                means[place] = (sums[size > 0] / size[size > 0]).mean()
        return means


def without_labels(obs: pd.DataFrame, *columns: str) -> str:
    """Why cells without these columns have no score; empty where they have them all."""
    missing = [name for name in columns if name not in obs]
    return f"the cells have no {' and no '.join(missing)} labels" if missing else ""


def sisters_of(obs: pd.DataFrame) -> Sisters:
    """Find the sisters sampled at different times, from the columns ``clone`` and ``time``."""
    empty = np.empty(0, dtype=np.intp)
    if reason := without_labels(obs, "clone", "time"):
        return Sisters(empty, empty, empty, reason)
    time = obs["time"].cat.codes.to_numpy()
    clone = obs["clone"].astype(str).to_numpy()
    cells = np.flatnonzero((clone != "") & (time >= 0))
    earlier, later, number = [empty], [empty], [empty]
    for _, members in pd.Series(cells).groupby(clone[cells], sort=True):
        sisters = members.to_numpy()
        first, second = np.nonzero(time[sisters][:, None] < time[sisters])
        if first.size:
            earlier.append(sisters[first])
            later.append(sisters[second])
            number.append(np.full(first.size, len(number) - 1))
    n_clones = len(number) - 1
    if n_clones < MIN_CLONES:
        reason = f"{n_clones} clones have cells of several times; at least {MIN_CLONES} are needed"
    return Sisters(np.concatenate(earlier), np.concatenate(later), np.concatenate(number), reason)


@dataclass(frozen=True)
class Fates:
    """Clones with early cells and a fate."""

    early: Ints  # indices of early cells
    clone: Ints  # clone of each early cell, as an index into ``names``
    names: list[str]
    fate: Ints  # fate of each clone, as an index into ``labels``
    labels: list[str]  # fates that enough clones have


def clone_fates(obs: pd.DataFrame, usable: Bools, clones_per_fate: int, seed: int) -> Fates:
    """Fates of clones: the most frequent cell type among a clone's cells of the last time.

    Early cells are its ``usable`` cells of the first time, at most :data:`MAX_EARLY_CELLS`. Types of root
    cells are no fates, ties give none, and a fate of fewer than ``clones_per_fate`` clones is left out.
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
    fates = clear[clear.isin(labels)].sort_index()
    cells = np.flatnonzero(early & np.isin(clone, fates.index))
    if len(cells) > MAX_EARLY_CELLS:
        names = obs.index[cells].astype(str).tolist()
        chosen = generator(seed, names, "early cells").choice(len(cells), MAX_EARLY_CELLS, replace=False)
        cells = cells[np.sort(np.argsort(names)[chosen])]
        fates = fates[fates.index.isin(clone[cells])]
    names = fates.index.astype(str).tolist()
    of_cell, fate = pd.Index(names).get_indexer(clone[cells]), pd.Index(labels).get_indexer(fates.to_numpy())
    return Fates(cells, of_cell, names, fate, labels)


def add_fates(
    scored: Scored,
    matrix: Floating,
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> None:
    """Add the row ``clone_fate_auc``: how well early cells tell the fate of a clone that was held out."""
    usable = np.asarray(np.isfinite(matrix).all(axis=1))
    reason = without_labels(obs, "clone", "time", "cell_type")
    fates = None if reason else clone_fates(obs, usable, settings.clones_per_fate, subject.seed)
    if fates is not None and len(fates.labels) < 2:
        reason = (
            f"{len(fates.labels)} fates have {settings.clones_per_fate} clones with cells of the first "
            "and of the last time; at least 2 are needed"
        )
    if fates is None or reason:
        scored.rows += unscored(subject, [FATE_AUC], "not_available", reason).rows
        return
    fold = generator(subject.seed, fates.names, "folds").permutation(len(fates.names)) % settings.folds
    predicted = predict_fates(matrix[fates.early], fates, fold)
    clones = sorted(set(obs["clone"].astype(str)) - {""})
    used = np.searchsorted(clones, fates.names)

    def statistic(counts: npt.NDArray[np.int32]) -> Floats:
        return mean_auc(predicted, fates.fate, fold, counts[:, used])

    values = bootstrap_values(statistic, subject.seed, clones, settings.resamples)
    estimate = mean_auc(predicted, fates.fate, fold, np.ones((1, len(fates.names)), dtype=np.int32))[0]
    row = subject.row(FATE_AUC, n_cells=len(fates.early), n_items=len(fates.names))
    add_interval(scored, row, float(estimate), values)


def predict_fates(matrix: Floating, fates: Fates, fold: Integers) -> Floats:
    """Predict the fates of clones from their early cells by ridge regression on the other parts of ``fold``.

    The penalty is the mean eigenvalue of the Gram matrix: it follows the scale, and nothing is tuned.
    Means over a clone's cells of the predicted membership, ``(n_clones, n_fates)``, comparable in a part.
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
        damped = cho_factor(gram + (penalty or 1.0) * np.eye(len(gram)))
        dual = cho_solve(damped, member[train] - member[train].mean(axis=0))
        predicted[test] = (matrix[test] - centre) / spread @ (values.T @ dual)
    sums = np.stack([np.bincount(fates.clone, weights=column) for column in predicted.T], axis=1)
    means: Floats = sums / np.bincount(fates.clone)[:, None]
    return means


def mean_auc(
    predicted: Floats,
    fate: Ints,
    fold: Integers,
    counts: npt.NDArray[np.int32],
) -> Floats:
    """Mean over fates of the area under the ROC curve, in resamples of clones; NaN where a fate stands alone.

    Only clones of one part are compared: a part with more members of a fate was predicted from fewer.
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
