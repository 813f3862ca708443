"""A probe that is fitted to cells of one side and tested on the other: states, studies, species.

Both sides are cells of one condition, and a column tells them apart. Beside the transfer stand both sides
alone, donors held out, and what the transfer loses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Bools, Floating, Floats, Ints
from layerscope.statistics.intervals import percentile_interval
from layerscope.tables import Subject
from layerscope.tasks.folds import named_few, text
from layerscope.tasks.label.design import Design, design_of
from layerscope.tasks.label.measures import Labellings, macro_f1
from layerscope.tasks.label.probe import probe_scores, transferred_predictions
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.refits import Measure, UnitDraws
from layerscope.tasks.scored import NoScoreError, Scored

TRANSFER, OWN_UNITS = "transfer_macro_f1", "transfer_macro_f1_own_units"
FROM, TO, DROP = "from_macro_f1", "to_macro_f1", "transfer_drop"
TRANSFER_METRICS = (TRANSFER, OWN_UNITS, FROM, TO, DROP)


@dataclass(frozen=True)
class Side:
    """The cells of one side: their vectors, and their labels numbered alike on both."""

    name: str
    design: Design
    vectors: Floats
    types: Ints
    shuffled: Ints


def score_transfer(matrix: Floating, obs: pd.DataFrame, settings: LabelSettings, subject: Subject) -> Scored:
    """Score a layer by what a probe of one side knows of the other: rows of :data:`TRANSFER_METRICS`.

    Only labels that both sides have are scored. Units of the tested side are resampled; fits stay.
    NoScoreError where a side has too few cells or labels.
    """
    one, other, remark = _sides(matrix, obs, settings, subject.seed)
    n_types = one.design.n_types

    def on_other(predicted: Ints) -> Measure:
        return macro_f1(other.types, predicted, other.design.unit, len(other.design.units), n_types)

    trained = np.vstack([one.types, one.shuffled])
    labellings = Labellings(trained, np.ones(trained.shape), n_types)
    by_one, *null = map(
        on_other, transferred_predictions(one.vectors, labellings, other.vectors, settings.penalty)
    )
    true = Labellings(one.types[None], np.ones((1, len(one.types))), n_types)
    alone = transferred_predictions(*_own_units(one.vectors, true, other.vectors), settings.penalty)
    within = {side.name: _held_out(side, settings, n_types) for side in (one, other)}
    draws = {side.name: UnitDraws(side.design.units, settings, subject.seed) for side in (one, other)}
    shuffled = np.array([draws[other.name].estimate(measure) for measure in null])
    there = f"fitted to {one.name}, tested on {other.name}; level cell; interval for these fits"
    about = "; ".join(filter(None, [there, other.design.remark, remark]))
    scored = Scored()

    def add(metric: str, measure: Measure, reason: str, side: Side = other, p: bool = False) -> None:
        of_side = draws[side.name]
        estimate, values = of_side.estimate(measure), of_side.resampled(measure)
        low, high = percentile_interval(values)
        row = subject.row(
            metric,
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            null_mean=float(shuffled.mean()) if p and null else np.nan,
            p_value=one.design.p_value(shuffled, estimate) if p else np.nan,
            n_cells=len(side.types),
            n_items=len(side.design.units),
            reason=reason,
        )
        scored.add(row, values, of_side.halves(measure))

    in_own_units = "each side in units of its own cells, as if their composition were the same"
    add(TRANSFER, by_one, f"{about}; in units of the cells of {one.name}", p=True)
    add(OWN_UNITS, on_other(alone[0]), f"{about}; {in_own_units}")
    add(FROM, within[one.name], f"{one.name} alone; {one.design.how}; {one.design.remark}", one)
    add(TO, within[other.name], f"{other.name} alone; {other.design.how}; {other.design.remark}")
    add(DROP, _difference(within[other.name], by_one), f"{TO} minus {TRANSFER}, paired; {about}")
    return scored


def _sides(matrix: Floating, obs: pd.DataFrame, settings: LabelSettings, seed: int) -> tuple[Side, Side, str]:
    """Both sides with the labels that they share, and which labels they do not."""
    assert settings.transfer is not None
    column = settings.transfer["column"]
    if column not in obs:
        raise NoScoreError("not_available", f"the cells have no column {column}")
    finite = np.isfinite(matrix).all(axis=1)
    chosen = [text(obs, column) == settings.transfer[key] for key in ("from", "to")]
    for rows, key in zip(chosen, ("from", "to"), strict=True):
        if not rows.any():
            raise NoScoreError("undefined", f"transfer: no cell has {settings.transfer[key]!r} in {column}")
    labels = [_large(obs, rows & finite, settings) for rows in chosen]
    shared = labels[0] & labels[1]
    while True:  # a label that one side cannot test is left out on both
        if len(shared) < 2:
            raise NoScoreError("undefined", f"both sides have {len(shared)} labels, nothing to tell apart")
        kept = [rows & finite & np.isin(text(obs, settings.column), sorted(shared)) for rows in chosen]
        designs = [
            _design(obs[rows], settings, settings.transfer[key], seed)
            for rows, key in zip(kept, ("from", "to"), strict=True)
        ]
        both = set(designs[0].names) & set(designs[1].names)
        if both == shared:
            break
        shared = both
    lost = sorted((labels[0] | labels[1]) - shared)
    remarks = [f"labels that cannot be tested on both sides left out: {named_few(lost)}"] if lost else []
    remarks += [f"{int((~finite).sum())} refused cells left out"] if not finite.all() else []
    number = {name: at for at, name in enumerate(sorted(shared))}
    sides = []
    for design, rows, key in zip(designs, kept, ("from", "to"), strict=True):
        common = np.array([number[name] for name in design.names], dtype=np.intp)
        vectors = np.asarray(matrix[np.flatnonzero(rows)[design.cells]], dtype=np.float64)
        name = settings.transfer[key]
        sides.append(Side(name, design, vectors, common[design.types], common[design.shuffled]))
    return sides[0], sides[1], "; ".join(remarks)


def _large(obs: pd.DataFrame, rows: Bools, settings: LabelSettings) -> set[str]:
    sizes = pd.Series(text(obs, settings.column)[rows]).value_counts()
    return {str(label) for label, size in sizes.items() if label != "" and size >= settings.cells_per_type}


def _design(obs: pd.DataFrame, settings: LabelSettings, side: str, seed: int) -> Design:
    try:
        design = design_of(obs, settings, seed)
    except NoScoreError as none:
        raise NoScoreError(none.status, f"{side}: {none}") from None
    if design.level != "cell":
        raise NoScoreError(
            "undefined",
            f"{side}: labels are of level {design.level}; a transfer is scored for labels of cells",
        )
    return design


def _held_out(side: Side, settings: LabelSettings, n_types: int) -> Measure:
    """Macro F1 of a side by itself."""
    true = Labellings(side.types[None], np.ones((1, len(side.types))), n_types)
    scores, _ = probe_scores(side.vectors, true, side.design.folds, settings.penalty)
    return macro_f1(side.types, scores[0].argmax(axis=1), side.design.unit, len(side.design.units), n_types)


def _own_units(one: Floats, labellings: Labellings, other: Floats) -> tuple[Floats, Labellings, Floats]:
    """Both sides in units of their own standard deviations from their own means."""
    spread = other.std(axis=0)
    return (
        one,
        labellings,
        (other - other.mean(axis=0)) / np.where(spread > 0, spread, 1) * one.std(axis=0) + one.mean(axis=0),
    )


def _difference(first: Measure, second: Measure) -> Callable[[npt.ArrayLike], Floats]:
    return lambda counts: np.asarray(first(counts) - second(counts))
