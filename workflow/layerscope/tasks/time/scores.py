"""Scores of one layer: the order of predicted times, and where a time that it was not shown comes out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floating, Floats, Ints
from layerscope.statistics.intervals import percentile_interval
from layerscope.tables import Subject
from layerscope.tasks.refits import Measure, UnitDraws
from layerscope.tasks.scored import NoScoreError, Scored, embedded, share_as_high
from layerscope.tasks.time.design import TimeDesign, Times
from layerscope.tasks.time.regression import Moments, predicted_times, principal_axes
from layerscope.tasks.time.settings import TimeSettings

TAU, LEFT_OUT = "tau", "left_out_time"
METRICS = (TAU, LEFT_OUT)
LOWEST = {TAU: -1.0, LEFT_OUT: 0.0}


def score_layer(matrix: Floating, design: TimeDesign, settings: TimeSettings, subject: Subject) -> Scored:
    """Score a layer (cells x columns, cells as in the table that the design was made of)."""
    vectors, design, remark = _embedded(matrix, design)
    axes = principal_axes(vectors, settings.axes)
    n_groups, rank, fold = len(design.unit), design.times.rank, design.fold[design.unit]
    draws = UnitDraws(design.units, settings, subject.seed)
    trained = draws.counts[: settings.refits]
    moments = Moments.of(axes, design.times.group, n_groups)
    ranks = np.vstack([rank, design.dealt.labels.reshape(-1, n_groups)])
    predicted = predicted_times(moments, ranks, fold, settings.penalty)
    true, *dealt = [tau(*labelling, design) for labelling in zip(ranks, predicted, strict=True)]
    null = [measure(draws.everyone) for measure in dealt]
    if not null:
        null = [_tau_of_cells(axes, times, design, settings)(draws.everyone) for times in design.shuffled]
    again = [
        predicted_times(moments, rank, fold, settings.penalty, counts[design.unit]) for counts in trained
    ]
    of_shuffles = []
    for times in design.shuffled:
        own = moments if times.group is design.times.group else Moments.of(axes, times.group, n_groups)
        placed = left_out_time(own, times.rank, design, settings, draws.everyone)
        of_shuffles.append(placed(draws.everyone))
    measures = {
        TAU: (true, [tau(rank, refit, design) for refit in again], null),
        LEFT_OUT: (
            left_out_time(moments, rank, design, settings, draws.everyone),
            [left_out_time(moments, rank, design, settings, counts) for counts in trained],
            of_shuffles,
        ),
    }
    scored = Scored()
    for metric, (measure, refits, shuffled) in measures.items():
        estimate = draws.estimate(measure)
        if np.isnan(estimate):
            reason = f"no two neighbouring times can be compared; {design.how}"
            scored.rows.append(subject.row(metric, status="undefined", reason=reason))
            continue
        values = np.maximum(draws.resampled(measure, refits), LOWEST[metric])
        low, high = percentile_interval(values)
        expected = np.array([value for value in shuffled if np.isfinite(value)])
        exact = metric == TAU and len(design.dealt.labels)
        row = subject.row(
            metric,
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            null_mean=float(expected.mean()) if len(expected) else np.nan,
            p_value=(design.dealt.p_value if exact else share_as_high)(expected, estimate),
            n_cells=len(vectors),
            n_items=len(design.units),
            reason="; ".join(filter(None, [design.how, remark])),
        )
        scored.add(row, values, draws.halves(measure))
    return scored


def tau(rank: Ints, predicted: Floats, design: TimeDesign) -> Measure:
    """Kendall's tau-b between times and predictions, over pairs of groups that may be compared."""
    times, guesses = _signs(rank.astype(np.float64)), _signs(predicted)
    compared = _compared(design)
    agree = _by_unit(np.where(compared, times * guesses, 0), design)
    of_times = _by_unit(np.where(compared, np.abs(times), 0), design)
    of_guesses = _by_unit(np.where(compared, np.abs(guesses), 0), design)

    def measure(counts: npt.ArrayLike) -> Floats:
        weight = np.asarray(counts, dtype=np.float64)
        sums = [_pairs(table, weight, design) for table in (agree, of_times, of_guesses)]
        scale = np.sqrt(sums[1] * sums[2])
        return np.asarray(np.where(scale > 0, sums[0] / np.where(scale > 0, scale, 1), np.nan))

    return measure


def left_out_time(
    moments: Moments, rank: Ints, design: TimeDesign, settings: TimeSettings, counts: npt.ArrayLike
) -> Measure:
    """Share of pairs in which a time that trained nothing comes out on the right side of its neighbours.

    Each time between the first and the last is left out in turn; pairs are of its groups and those of the
    time before or after it. One half is chance. ``counts`` says how often each unit trains.
    """
    fold, weight = design.fold[design.unit], np.asarray(counts, dtype=np.float64)[design.unit]
    right = np.zeros((len(design.unit), len(design.unit)))
    tried = np.zeros_like(right)
    compared = _compared(design)
    for middle in range(1, design.n_times - 1):
        predicted = predicted_times(moments, rank, fold, settings.penalty, weight, middle)
        agree = (1 + _signs(rank.astype(np.float64)) * _signs(predicted)) / 2
        apart = np.abs(rank[:, None] - rank) == 1
        pairs = compared & apart & ((rank[:, None] == middle) | (rank == middle))
        pairs &= np.isfinite(predicted[:, None] - predicted)
        right += np.where(pairs, agree, 0)
        tried += pairs
    of_right, of_tried = _by_unit(right, design), _by_unit(tried, design)

    def measure(counts: npt.ArrayLike) -> Floats:
        weight = np.asarray(counts, dtype=np.float64)
        n_pairs = _pairs(of_tried, weight, design)
        share = _pairs(of_right, weight, design) / np.where(n_pairs > 0, n_pairs, 1)
        return np.asarray(np.where(n_pairs > 0, share, np.nan))

    return measure


def _tau_of_cells(axes: Floats, times: Times, design: TimeDesign, settings: TimeSettings) -> Measure:
    """Tau of cells dealt anew into the groups of their unit."""
    moments = Moments.of(axes, times.group, len(design.unit))
    predicted = predicted_times(moments, times.rank, design.fold[design.unit], settings.penalty)
    return tau(times.rank, predicted, design)


def _signs(values: Floats) -> Floats:
    """Sign of every difference, 0 where a value is missing."""
    return np.nan_to_num(np.sign(values[:, None] - values))


def _compared(design: TimeDesign) -> Bools:
    """Pairs of groups that are compared: of one unit where it has several times, else of different ones."""
    same: Bools = design.unit[:, None] == design.unit
    return same if design.within_units else ~same


def _by_unit(pairs: Floats, design: TimeDesign) -> Floats:
    """Sums over pairs of groups, by pair of units."""
    member = (design.unit[:, None] == np.arange(len(design.units))).astype(np.float64)
    return np.asarray(member.T @ pairs @ member)


def _pairs(table: Floats, weight: Floats, design: TimeDesign) -> Floats:
    """Sum over pairs of units, each as often as it is drawn."""
    if design.within_units:
        return np.asarray(weight @ np.diag(table))
    return np.asarray(((weight @ table) * weight).sum(axis=-1))


def _embedded(matrix: Floating, design: TimeDesign) -> tuple[Floats, TimeDesign, str]:
    """Vectors of the design's cells that a layer has, the design of these, and what was left out."""
    vectors, finite, refused = embedded(matrix, design.cells)
    design = design.among(finite)
    if len(np.unique(design.times.group)) < len(design.unit):
        reason = (
            f"the model refused {int((~finite).sum())} of {len(finite)} cells, all of a sample among them"
        )
        raise NoScoreError("undefined", reason)
    return vectors[finite], design, refused
