"""Scores of one layer: the order of predicted times, and where a time that it was not shown comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from layerscope.arrays import Bools, Floating, Floats, Ints
from layerscope.statistics.intervals import percentile_interval
from layerscope.statistics.splits import Splits
from layerscope.tables import CHOSEN_ON, SCORED_ON, Score, Subject
from layerscope.tasks.folds import NoScoreError
from layerscope.tasks.jobs import Scored
from layerscope.tasks.refits import Measure, resampled, unit_counts
from layerscope.tasks.time.design import TimeDesign, Times
from layerscope.tasks.time.regression import Moments, predicted_times, principal_axes
from layerscope.tasks.time.settings import TimeSettings

TAU, LEFT_OUT = "tau", "left_out_time"
METRICS = (TAU, LEFT_OUT)
LOWEST = {TAU: -1.0, LEFT_OUT: 0.0}


def score_layer(matrix: Floating, design: TimeDesign, settings: TimeSettings, subject: Subject) -> Scored:
    """Score a layer (cells x columns, cells as in the table that the design was made of).

    Rows of :data:`METRICS`. Raises NoScoreError if the layer is constant, or the model refused all cells of a
    group.
    """
    vectors, design, remark = _embedded(matrix, design)
    axes = principal_axes(vectors, settings.axes)
    n_groups = len(design.unit)
    moments = Moments.of(axes, design.times.group, n_groups)
    fold = design.fold[design.unit]
    ranks = np.vstack([design.times.rank, design.dealt.labels.reshape(-1, n_groups)])
    predicted = predicted_times(moments, ranks, fold, settings.penalty)
    taus = [tau(*labelling, design) for labelling in zip(ranks, predicted, strict=True)]
    null = [measure(_all(design)) for measure in taus[1:]]
    if not null:
        null = [_tau_of_cells(axes, times, design, settings) for times in design.shuffled]
    rows = _Rows(design, settings, subject, len(vectors), remark)
    refits, draws = [], rows.counts[: settings.refits]
    for counts in draws:
        again = predicted_times(moments, design.times.rank, fold, settings.penalty, counts[design.unit])
        refits.append(tau(design.times.rank, again, design))
    rows.add(TAU, taus[0], refits, np.array(null, dtype=np.float64))
    everyone = _all(design)
    rank = design.times.rank
    left_out = left_out_time(moments, rank, design, settings, everyone)
    refits = [left_out_time(moments, rank, design, settings, counts) for counts in draws]
    of_shuffles = []
    for times in design.shuffled:
        own = moments if times.group is design.times.group else Moments.of(axes, times.group, n_groups)
        of_shuffles.append(left_out_time(own, times.rank, design, settings, everyone)(everyone))
    rows.add(LEFT_OUT, left_out, refits, np.array(of_shuffles, dtype=np.float64))
    return rows.scored


class _Rows:
    """Rows of a layer, one metric after the other."""

    def __init__(
        self, design: TimeDesign, settings: TimeSettings, subject: Subject, n_cells: int, remark: str
    ) -> None:
        self.scored = Scored()
        self._design, self._subject, self._remark, self._n_cells = design, subject, remark, n_cells
        self.counts = unit_counts(subject.seed, design.units, settings.resamples)
        self._splits = Splits.of(design.units, subject.seed, settings.splits, len(design.units))

    def add(self, metric: str, measure: Measure, refits: Sequence[Measure], null: Floats) -> None:
        """Add the row of a metric, with its interval, and with what labels dealt anew give."""
        estimate = float(measure(_all(self._design)))
        if np.isnan(estimate):
            reason = f"no two neighbouring times can be compared; {self._design.how}"
            self.scored.rows.append(self._subject.row(metric, status="undefined", reason=reason))
            return
        n_units = len(self._design.units)
        values = np.maximum(resampled(measure, refits, self.counts), LOWEST[metric])
        null = null[np.isfinite(null)]
        low, high = percentile_interval(values)
        row: Score = self._subject.row(
            metric,
            estimate=estimate,
            ci_low=low,
            ci_high=high,
            null_mean=float(null.mean()) if len(null) else np.nan,
            p_value=self._p_value(metric, estimate, null),
            n_cells=self._n_cells,
            n_items=n_units,
            reason="; ".join(filter(None, [self._design.how, self._remark])),
        )
        self.scored.rows.append(row)
        self.scored.resamples[metric] = values
        self.scored.resamples[metric + CHOSEN_ON] = measure(self._splits.first)
        self.scored.resamples[metric + SCORED_ON] = measure(self._splits.second)

    def _p_value(self, metric: str, estimate: float, null: Floats) -> float:
        """Exact where all ways of dealing were tried."""
        if metric == TAU and len(self._design.dealt.labels):
            return self._design.dealt.p_value(estimate, null)
        above = int((null >= estimate).sum())
        return (1 + above) / (1 + len(null)) if len(null) else float("nan")


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


def _tau_of_cells(axes: Floats, times: Times, design: TimeDesign, settings: TimeSettings) -> Floats:
    """Tau of cells dealt anew into the groups of their unit."""
    moments = Moments.of(axes, times.group, len(design.unit))
    predicted = predicted_times(moments, times.rank, design.fold[design.unit], settings.penalty)
    return tau(times.rank, predicted, design)(_all(design))


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


def _all(design: TimeDesign) -> Floats:
    return np.ones(len(design.units))


def _embedded(matrix: Floating, design: TimeDesign) -> tuple[Floats, TimeDesign, str]:
    """Vectors of the design's cells that a layer has, the design of these, and what was left out."""
    vectors = np.asarray(matrix[design.cells], dtype=np.float64)
    finite = np.asarray(np.isfinite(vectors).all(axis=1))
    if finite.all():
        return vectors, design, ""
    n_refused = int((~finite).sum())
    embedded = design.among(finite)
    if len(np.unique(embedded.times.group)) < len(design.unit):
        reason = f"the model refused {n_refused} of {len(finite)} cells, all of a sample among them"
        raise NoScoreError("undefined", reason)
    return vectors[finite], embedded, f"{n_refused} refused cells left out"
