"""Noise ceilings: how well the effects in some cells predict the effects in others.

No layer can be expected to agree with a reference better than the reference agrees with itself in other
cells: other cells of the same guides and lanes (split halves), of other guides, of other lanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.chance import Chance
from layerscope.tables import OFFICIAL, Score
from layerscope.tasks.perturbation.design import LANE_COLUMNS, Design, combined_codes, places, select
from layerscope.tasks.perturbation.influence import interval, spearman_influence
from layerscope.tasks.perturbation.pairs import Pairs
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.similarity import spearman_matrix
from layerscope.tasks.perturbation.strict_reference import Expression, StrictReference

Array = NDArray[np.float64]
MIN_PERTURBATIONS = StrictSettings.MIN_PERTURBATIONS
MODEL = "reference"


@dataclass(frozen=True)
class Agreement:
    """Agreement of two halves, averaged over ways to halve.

    Attributes
    ----------
    value
        Mean Spearman correlation; NaN if there is none.
    influence
        Its derivative in the weight of every perturbation, shape ``(n_perturbations,)``.
    used
        Perturbations that entered at least once, shape ``(n_perturbations,)``.
    """

    value: float
    influence: Array
    used: NDArray[np.bool_]


def by_split(reference: StrictReference, size: int = -1) -> Agreement:
    """Agreement of the halves of the splits, whole or of one of the reference's smaller sizes."""
    everyone = np.ones(len(reference.names), dtype=bool)
    return _mean((one, other, everyone) for one, other in reference.similarity[size])


def by_labels(
    expression: Expression, design: Design, obs: pd.DataFrame, columns: list[str], n_splits: int, seed: int
) -> Agreement:
    """Agreement of halves whose guides, or lanes, differ, with as many cells as the split halves have.

    Each perturbation's labels (combinations of the columns) are halved at random, in the same order for all
    perturbations, so that lanes are halved alike. A perturbation without cells enough in a half is left out.
    """
    names = ["", *design.names]
    number = {name: index for index, name in enumerate(names)}
    item = obs["perturbation"].astype(str).map(number).fillna(-1).to_numpy().astype(np.int64)
    item = np.where(obs["is_control"].to_numpy(dtype=bool), 0, np.where(item == 0, -1, item))
    label = combined_codes(obs, columns)
    chance = Chance(seed, design.cell_ids)
    per_half = design.cells_per_perturbation // 2
    found = []
    for split in range(n_splits):
        part = _halved(item, label, np.random.default_rng([seed, split]).permutation(label.max() + 1))
        group = np.full(len(item), -1)
        for half in (0, 1):
            inside = select(np.where(part == half, item, -1), label, per_half, chance.keys(-split))
            group[inside] = 2 * item[inside] + half
        sizes = np.bincount(group[group >= 0], minlength=2 * len(names)).reshape(-1, 2)
        full = np.asarray((sizes[1:] >= per_half).all(axis=1))
        if full.sum() >= MIN_PERTURBATIONS and (sizes[0] >= per_half).all():
            kept = np.concatenate([[True], full])
            renumbered = np.where(kept, np.cumsum(kept) - 1, -1)
            owner = np.where(group >= 0, renumbered[group // 2], -1)
            group = np.where(owner >= 0, 2 * owner + group % 2, -1)
            sums = expression.sums(group, int(kept.sum()), 2)
            one, other = (spearman_matrix(expression.effects(sums, np.array([half]))) for half in (0, 1))
            found.append((one, other, full))
    if not found:
        nobody = np.zeros(len(design.names), dtype=bool)
        return Agreement(math.nan, np.full(len(nobody), math.nan), nobody)
    return _mean(found)


def ceiling_rows(
    expression: Expression,
    reference: StrictReference,
    design: Design,
    obs: pd.DataFrame,
    settings: StrictSettings,
    condition: str,
    seed: int,
) -> list[Score]:
    """Ceilings by split, guide and lane as rows of the model ``reference``."""
    rows = [_row("split", by_split(reference), design, condition, seed)]
    for what, columns in (("guide", ["guide"]), ("lane", list(LANE_COLUMNS))):
        present = [name for name in columns if name in obs.columns]
        if not present:
            reason = f"the cells have no column {' or '.join(columns)}"
            rows.append(_missing(what, reason, condition, seed))
            continue
        agreement = by_labels(expression, design, obs, present, settings.cell_splits, seed)
        if agreement.used.any():
            rows.append(_row(what, agreement, design, condition, seed))
        else:
            half = design.cells_per_perturbation // 2
            reason = (
                f"fewer than {MIN_PERTURBATIONS} perturbations have {half} cells in either half of "
                f"their {what}s"
            )
            rows.append(_missing(what, reason, condition, seed))
    return rows


def _mean(halves: Iterable[tuple[Array, Array, NDArray[np.bool_]]]) -> Agreement:
    values, influences, used = [], [], []
    for one, other, full in halves:
        pairs = Pairs(len(one))
        value, influence = spearman_influence(pairs.of(one), pairs.of(other), pairs)
        spread = np.zeros(len(full))
        spread[full] = influence
        values.append(value)
        influences.append(spread)
        used.append(full)
    return Agreement(float(np.mean(values)), np.mean(influences, axis=0), np.any(used, axis=0))


def _halved(item: NDArray[np.int64], label: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Half (0 or 1) of each cell's label among its item's labels, taken in the given order of labels."""
    key = item * len(order) + order[label]
    distinct, inverse = np.unique(key, return_inverse=True)
    place, size = places(np.arange(len(distinct)), [distinct // len(order)])
    return np.asarray((2 * place >= size).astype(np.int64)[inverse])


def _row(what: str, agreement: Agreement, design: Design, condition: str, seed: int) -> Score:
    used = agreement.used
    low, high = interval(agreement.value, agreement.influence[used])
    missing = int((~used).sum())
    return Score(
        **_about(what, condition, seed),
        estimate=agreement.value,
        ci_low=low,
        ci_high=high,
        n_items=int(used.sum()),
        n_cells=int(used.sum()) * design.cells_per_perturbation,
        reason=f"{missing} perturbations have too few cells in a half of their {what}s" if missing else "",
    )


def _missing(what: str, reason: str, condition: str, seed: int) -> Score:
    return Score(**_about(what, condition, seed), status="not_available", reason=reason)


def _about(what: str, condition: str, seed: int) -> dict[str, Any]:
    return {
        "condition": condition,
        "model": MODEL,
        "layer": OFFICIAL,
        "depth": math.nan,
        "task": "perturbation",
        "protocol": "strict",
        "metric": f"ceiling_by_{what}",
        "seed": seed,
    }
