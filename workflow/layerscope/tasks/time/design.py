"""Which cells are compared by their times: groups of cells of one time, and what is held out whole.

Nothing here looks at an embedding, and everything is decided by names: the same for every layer and model of
a condition, whatever the order of its file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from layerscope.arrays import Bools, Ints, Texts
from layerscope.chance import generator
from layerscope.tasks.folds import at_most, grouped_folds, n_labels, numbered, plural, text
from layerscope.tasks.levels import Dealt, Labelled, deal, dealt_within, level_of
from layerscope.tasks.scored import NoScoreError
from layerscope.tasks.time.settings import MIN_TIMES, TimeSettings

TIME = "time"


@dataclass(frozen=True)
class Times:
    """Cells in groups, and the time of each group as its rank; one labelling, true or dealt anew."""

    group: Ints
    """Group of each cell."""
    rank: Ints
    """Rank of the time of each group."""


@dataclass(frozen=True)
class TimeDesign:
    """The cells that are scored, in the order of their names."""

    cells: Ints
    """Rows of the cells' table."""
    times: Times
    unit: Ints
    """What is held out whole and resampled, of each group."""
    units: list[str]
    fold: Ints
    """Part of the cross-validation of each unit."""
    within_units: bool
    """Whether times are compared within units, because these have several, or between units."""
    dealt: Dealt
    """Ranks of the groups dealt anew, where labels are of samples or donors."""
    shuffled: list[Times]
    """Labellings for what needs fits of its own, few."""
    how: str

    @property
    def n_times(self) -> int:
        """How many times there are."""
        return int(self.times.rank.max()) + 1

    def among(self, chosen: Bools) -> TimeDesign:
        """The design of some of its cells, all groups kept."""
        if chosen.all():
            return self
        some = [Times(times.group[chosen], times.rank) for times in (self.times, *self.shuffled)]
        return replace(self, cells=self.cells[chosen], times=some[0], shuffled=some[1:])


def design_of(obs: pd.DataFrame, settings: TimeSettings, seed: int) -> TimeDesign:
    """Choose cells, groups and folds; NoScoreError where time cannot be told from other differences."""
    if TIME not in obs or not obs[TIME].notna().any():
        raise NoScoreError("not_available", "the cells have no column time")
    named = obs.assign(row=np.arange(len(obs))).sort_index(kind="stable")
    timed = at_most(named[named[TIME].notna()], settings.most_cells, seed, [])
    rank = timed[TIME].cat.remove_unused_categories().cat.codes.to_numpy(dtype=np.intp)
    n_times = int(rank.max()) + 1
    by = next((name for name in ("donor", "sample", "batch") if n_labels(timed, name) > 1), "")
    if not by:
        reason = "there are no donors, samples or batches to hold out, so that time and sample are the same"
        raise NoScoreError("undefined", reason)
    labelled = level_of(timed, TIME)
    unit_names = text(timed, by)
    units = sorted(set(unit_names))
    if n_times < MIN_TIMES or len(units) < settings.least_units:
        counted = f"{n_times} times and {len(units)} {plural(by)}; {MIN_TIMES} and {settings.least_units}"
        reason = f"time and {by} cannot be told apart: {counted} are needed"
        raise NoScoreError("undefined", reason)
    groups = _groups(labelled, unit_names, rank)
    group = numbered(groups)
    first = np.unique(group, return_index=True)[1]
    unit = np.searchsorted(units, unit_names[first]).astype(np.intp)
    times = Times(group, rank[first])
    random = generator(seed, timed.index.tolist(), "times dealt anew")
    within = np.zeros(len(first), dtype=np.intp) if labelled.level == "donor" else unit
    dealt = deal(times.rank, within, settings.dealings if labelled.level != "cell" else 0, random)
    within_units = len(first) > len(units)
    if labelled.level == "cell":
        regrouped = dealt_within(group, labelled.within, settings.shuffles, random)
        shuffled = [Times(of_cells, times.rank) for of_cells in regrouped]
    else:
        few = deal(times.rank, within, settings.shuffles, random)
        shuffled = [Times(group, ranks) for ranks in few.labels]
    where = f"within {plural(by)}" if within_units else f"between {plural(by)}"
    return TimeDesign(
        cells=timed["row"].to_numpy(dtype=np.intp),
        times=times,
        unit=unit,
        units=units,
        fold=grouped_folds(np.array(units), settings.folds),
        within_units=within_units,
        dealt=dealt,
        shuffled=shuffled,
        how=f"times of level {labelled.level}; {len(units)} {plural(by)} held out whole, compared {where}",
    )


def _groups(labelled: Labelled, unit: Texts, rank: Ints) -> Texts:
    """Cells of one time in one unit; where samples have one time, of one sample."""
    if labelled.level == "sample":
        return np.array(labelled.names, dtype=object)[labelled.unit]
    joined = [f"{name}\x1f{time}" for name, time in zip(unit, rank, strict=True)]
    return np.array(joined, dtype=object)
