"""Noise ceilings: how well the effects in some cells predict the effects in others.

No layer can be expected to agree with a reference better than the reference agrees with itself in other
cells: other cells of the same guides and lanes (split halves), of other guides, of other lanes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.arrays import Bools, Floats
from layerscope.chance import Chance
from layerscope.tables import Score, Subject
from layerscope.tasks.perturbation.influence import Estimate, RankedPairs, interval, spearman_influence
from layerscope.tasks.perturbation.pairs import Pairs
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.similarity import spearman_matrix
from layerscope.tasks.perturbation.strict_reference import Expression, StrictReference
from layerscope.tasks.screens.design import LANE_COLUMNS, Design, combined_codes, places, select
from layerscope.tasks.screens.labels import group_cells

MIN_PERTURBATIONS = StrictSettings.MIN_PERTURBATIONS


def by_split(reference: StrictReference, size: int = -1) -> Estimate:
    """Agreement of the halves of the splits, whole or of one of the reference's smaller sizes."""
    return Estimate.mean([_agreement(first, second) for first, second in reference.similarity[size]])


def by_labels(
    expression: Expression, design: Design, obs: pd.DataFrame, columns: list[str], n_splits: int, seed: int
) -> tuple[Estimate, Bools] | None:
    """Agreement of halves whose guides, or lanes, differ, and which perturbations entered at least once.

    Each perturbation's labels (combinations of the columns) are halved at random, in the same order for all
    perturbations, so that lanes are halved alike; each half has as many cells as a split half. A perturbation
    without cells enough in a half is left out; None if too few have.
    """
    item = group_cells(obs, design.names)
    label = combined_codes(obs, columns)
    chance = Chance(seed, design.cell_ids)
    per_half = design.cells_per_perturbation // 2
    estimates, used = [], np.zeros(len(design.names), dtype=bool)
    for split in range(n_splits):
        part = _halved(item, label, np.random.default_rng([seed, split]).permutation(label.max() + 1))
        half_of = np.full(len(item), -1)
        for half in (0, 1):
            inside = select(np.where(part == half, item, -1), label, per_half, chance.keys(-split))
            half_of[inside] = half
        sizes = np.array([np.bincount(item[half_of == half], minlength=len(used) + 1) for half in (0, 1)])
        full = np.asarray((sizes >= per_half).all(axis=0))
        if not full[0] or full[1:].sum() < MIN_PERTURBATIONS:
            continue
        # the control and the full perturbations, numbered anew
        number = np.append(np.where(full, np.cumsum(full) - 1, -1), -1)[item]
        group = np.where((half_of >= 0) & (number >= 0), 2 * number + half_of, -1)
        sums = expression.sums(group, int(full.sum()), 2)
        within = _agreement(*(spearman_matrix(expression.effects(sums, np.array([half]))) for half in (0, 1)))
        influence = np.zeros(len(used))
        influence[full[1:]] = within.influence
        estimates.append(Estimate(within.value, influence))
        used |= full[1:]
    return (Estimate.mean(estimates), used) if estimates else None


def ceiling_rows(
    expression: Expression,
    reference: StrictReference,
    design: Design,
    obs: pd.DataFrame,
    subject: Subject,
    settings: StrictSettings,
) -> list[Score]:
    """Ceilings by split, guide and lane as rows of the subject, which is the reference itself."""
    everyone = np.ones(len(design.names), dtype=bool)
    rows = [_row(subject, "split", by_split(reference), everyone, design)]
    for what, columns in (("guide", ["guide"]), ("lane", list(LANE_COLUMNS))):
        metric = f"ceiling_by_{what}"
        present = [name for name in columns if name in obs.columns]
        if not present:
            reason = f"the cells have no column {' or '.join(columns)}"
            rows.append(subject.row(metric, status="not_available", reason=reason))
            continue
        agreement = by_labels(expression, design, obs, present, settings.cell_splits, subject.seed)
        reason = (
            f"fewer than {MIN_PERTURBATIONS} perturbations have {design.cells_per_perturbation // 2} cells "
            f"in either half of their {what}s"
        )
        if agreement is None:
            rows.append(subject.row(metric, status="not_available", reason=reason))
        else:
            rows.append(_row(subject, what, *agreement, design))
    return rows


def _agreement(first: Floats, second: Floats) -> Estimate:
    pairs = Pairs(len(first))
    return spearman_influence(RankedPairs(pairs.of(first)), RankedPairs(pairs.of(second)), len(first))


def _halved(item: NDArray[np.int64], label: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half (0 or 1) of each cell's label among its item's labels, taken in the given order of labels."""
    key = item * len(order) + order[label]
    distinct, inverse = np.unique(key, return_inverse=True)
    place, size = places(np.arange(len(distinct)), [distinct // len(order)])
    return np.asarray((2 * place >= size).astype(np.int64)[inverse])


def _row(subject: Subject, what: str, estimate: Estimate, used: Bools, design: Design) -> Score:
    low, high = interval(Estimate(estimate.value, estimate.influence[used]))
    n_used, n_missing = int(used.sum()), int((~used).sum())
    reason = f"{n_missing} perturbations have too few cells in a half of their {what}s" if n_missing else ""
    numbers = {"estimate": estimate.value, "ci_low": low, "ci_high": high}
    n_cells = n_used * design.cells_per_perturbation
    return subject.row(f"ceiling_by_{what}", **numbers, n_items=n_used, n_cells=n_cells, reason=reason)
