"""Which cells and labels are scored, and which cells test a probe that was fitted to which others.

Nothing here looks at an embedding, and everything is decided in the order of the cells' names: folds,
shuffles and resamples are the same for every layer and model of a condition, whatever the order of its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from layerscope.arrays import Bools, Floats, Ints
from layerscope.chance import Chance, generator
from layerscope.errors import ConfigError
from layerscope.tasks.folds import (
    CLONE,
    at_most,
    grouped_folds,
    kin,
    n_labels,
    named_few,
    numbered,
    plural,
    stratified_folds,
    text,
)
from layerscope.tasks.label.selection import (
    demand_labels,
    demand_mixed_donors,
    in_two_folds,
    labels_of_donors,
    large_labels,
    selected,
    with_level,
    without_units,
)
from layerscope.tasks.label.settings import LabelSettings
from layerscope.tasks.levels import Dealt, Level, deal, dealt_within
from layerscope.tasks.scored import NoScoreError

CELL_TYPE = "cell_type"
DONORS_PER_LABEL = 5
"""Donors of each label that there must be for an interval, where labels were given to donors."""
MIXED_DONORS = 6
"""Donors with several labels that there must be for an interval, where labels were given to samples."""


@dataclass(frozen=True)
class Design:
    """The cells that are scored, in the order of their names."""

    cells: Ints
    """Rows of the cells' table."""
    types: Ints
    """Label of each cell, numbered by the first cell that has it."""
    names: tuple[str, ...]
    """The labels by their number."""
    positive: int
    """Of two labels, the number of the one whose cells should score higher."""
    level: Level
    """To what labels were given: cells, samples or donors."""
    folds: Ints
    """Part of the cross-validation that each cell is tested in."""
    random_folds: Ints | None
    """As many folds that ignore the groups, stratified by label; None where ``folds`` are such."""
    group: Ints
    """The donor or batch of each cell, where there is none its fold: an AUC compares the cells within."""
    cell_types: Ints
    """Types of the cells, which weigh alike where a donor has one prediction; all 0 where not known."""
    shuffled: Ints
    """Labels under each shuffle, shape ``(n_shuffles, n_cells)``; none where it would change nothing."""
    exact: bool
    """Whether these are all that there are, the true one among them."""
    unit: Ints
    """What is resampled: number of each cell's unit."""
    units: list[str]
    has_interval: bool
    by: str
    """Column whose groups the folds keep together; empty where there is none."""
    how: str
    """How the folds were made, in words."""
    remark: str
    """What the interval is for and what was left out, in words."""

    @property
    def n_types(self) -> int:
        """How many labels there are."""
        return len(self.names)

    def p_value(self, null: Floats, estimate: float) -> float:
        """Share of the shuffles that score at least as high; NaN without any."""
        return Dealt(self.shuffled, self.exact).p_value(null, estimate)

    def among(self, chosen: Bools) -> Design:
        """The design of some of its cells."""
        per_cell = ("cells", "types", "folds", "group", "cell_types", "unit")
        return replace(
            self,
            **{name: getattr(self, name)[chosen] for name in per_cell},
            random_folds=None if self.random_folds is None else self.random_folds[chosen],
            shuffled=self.shuffled[:, chosen],
        )


def design_of(obs: pd.DataFrame, settings: LabelSettings, seed: int) -> Design:
    """Choose cells, labels and folds.

    Every label of cells and samples lies in two folds at least, so every training set holds all. Raises
    NoScoreError if the cells have no labels, fewer than two that can be told apart, or too few donors; a
    ConfigError if ``positive`` is none of two labels.
    """
    column, remarks = settings.column, list[str]()
    if column not in obs or not (text(obs, column) != "").any():
        raise NoScoreError("not_available", f"the cells have no column {column}")
    named = obs.sort_index(kind="stable")
    known = selected(named, text(named, column) != "", f"without a {column.replace('_', ' ')}", remarks)
    known, level, by = with_level(known, column, remarks)
    if level == "cell":
        columns = [name for name in settings.grouped_by if name != column]
        by = next((name for name in columns if n_labels(known, name) > 1), "")
    if by:
        known = selected(known, text(known, by) != "", f"without a {by}", remarks)
    known = at_most(known, settings.most_cells, seed, remarks)
    known = large_labels(known, column, settings.cells_per_type, remarks)
    if level == "donor":
        known = labels_of_donors(known, column, by, remarks)
    folds, how = _folds(known, settings, level, by, seed)
    if level != "donor":
        known, folds = in_two_folds(known, column, folds, by, remarks)
    types = numbered(text(known, column))
    names = demand_labels(text(known, column), remarks)
    if level == "sample":
        demand_mixed_donors(known, column, remarks)
    positive = _positive(names, settings)
    among = f"whole {plural(by)}" if level == "donor" else "a donor's samples"
    dealt = (
        shuffles(known, types, folds, settings.shuffles, seed, remarks)
        if level == "cell"
        else _dealt(known, types, settings.dealings, among, seed, remarks)
    )
    unit, units, has_interval = _units(known, types, level, by, settings.least_groups, remarks)
    if len(names) == 2:
        remarks.insert(0, f"positive: {names[positive]}, against {names[1 - positive]}")
    chance = Chance(seed, known.index.tolist())
    random_folds = stratified_folds(types, kin(known), len(np.unique(folds)), chance) if by else None
    cell_types = (
        text(known, CELL_TYPE) if CELL_TYPE in known and column != CELL_TYPE else np.zeros(len(known))
    )
    return Design(
        cells=pd.Index(obs.index).get_indexer(known.index).astype(np.intp),
        types=types,
        names=names,
        positive=positive,
        level=level,
        folds=folds,
        random_folds=random_folds,
        group=numbered(text(known, by)) if by else folds,
        cell_types=numbered(cell_types),
        shuffled=dealt.labels,
        exact=dealt.exact,
        unit=unit,
        units=units,
        has_interval=has_interval,
        by=by,
        how=f"level {level}; {how}",
        remark="; ".join(remarks),
    )


def _folds(
    known: pd.DataFrame, settings: LabelSettings, level: Level, by: str, seed: int
) -> tuple[Ints, str]:
    """Part of the cross-validation of each cell, and in words how it was found."""
    if not by:
        chance = Chance(seed, known.index.tolist())
        types = numbered(text(known, settings.column))
        folds = stratified_folds(types, kin(known), settings.folds, chance)
        how = f"no {_either(settings.grouped_by)}: folds stratified by label"
        return folds, how + (", clones kept together" if n_labels(known, CLONE) else "")
    groups = text(known, by)
    if level == "donor":
        # as many donors in each fold, whatever their cells; names may tell labels, which folds must not know
        names, group = np.unique(groups.astype(np.str_), return_inverse=True)
        order = generator(seed, names.tolist(), "folds of donors").permutation(len(names))
        folds = (order % settings.folds)[group]
    else:
        folds = grouped_folds(groups, settings.folds)
    n_groups, n_folds = n_labels(known, by), len(np.unique(folds))
    if n_folds == n_groups:
        return folds, f"each of {n_groups} {plural(by)} tested by the others"
    return folds, f"{n_groups} {plural(by)} in {n_folds} folds"


def _either(columns: Sequence[str]) -> str:
    """Names of columns of which there is none."""
    return " or ".join(filter(None, [", ".join(columns[:-1]), *columns[-1:]])) or "grouping"


def shuffles(
    obs: pd.DataFrame, types: Ints, folds: Ints, n_shuffles: int, seed: int, remarks: list[str]
) -> Dealt:
    """Labels dealt anew among the cells of the same donor and sample, shape ``(n_shuffles, n_cells)``.

    Samples are those of ``sample``, else of ``batch``. Without donors or samples, labels are dealt among the
    cells of a fold. Where each donor and sample has one label there are no shuffles, and a remark says so.
    """
    sample = next((column for column in ("sample", "batch") if n_labels(obs, column)), "batch")
    within = [column for column in ("donor", sample) if column in obs]
    stratum = pd.Series(folds).astype(str)
    for column in within:
        stratum = stratum + "\x1f" + pd.Series(text(obs, column))
    if n_shuffles and len(set(zip(stratum, types, strict=True))) == len(set(stratum)):
        remarks.append(
            f"no null and no p-value: all cells of a {' and '.join(within) or 'fold'} have the same "
            "label, so that shuffling within it changes nothing"
        )
        return Dealt(np.empty((0, len(types)), dtype=np.intp), exact=False)
    random = generator(seed, obs.index.tolist(), "label shuffles")
    strata = np.unique(stratum.to_numpy(dtype=object), return_inverse=True)[1]
    return Dealt(dealt_within(types, strata, n_shuffles, random), exact=False)


def _dealt(
    known: pd.DataFrame, types: Ints, n_dealings: int, among: str, seed: int, remarks: list[str]
) -> Dealt:
    """Labels of samples dealt anew within donors, or those of donors among donors, for each cell."""
    units, first, unit = np.unique(known["\x1funit"], return_index=True, return_inverse=True)
    random = generator(seed, [str(name) for name in units], "label dealings")
    within = numbered(known["\x1fwithin"].to_numpy()[first])
    dealt = deal(types[first], within, n_dealings, random)
    if len(dealt.labels):
        ways = f"all {len(dealt.labels)}" if dealt.exact else f"{len(dealt.labels)} random"
        remarks.append(f"null: {ways} ways to deal the labels anew among {among}")
    elif n_dealings:
        remarks.append("no null and no p-value: there is no other way to deal the labels")
    return Dealt(dealt.labels[:, unit], dealt.exact)


def _positive(names: tuple[str, ...], settings: LabelSettings) -> int:
    """Number of the label that counts as positive; without a choice the later one by the alphabet."""
    if settings.positive is None:
        return names.index(max(names))
    if len(names) != 2 or settings.positive not in names:
        raise ConfigError(
            f"label: positive: {settings.positive!r} must be one of two labels of {settings.column!r}; "
            f"there are {len(names)}: {named_few(sorted(names))}. Leave others out with `exclude`"
        )
    return names.index(settings.positive)


def _units(
    obs: pd.DataFrame, types: Ints, level: Level, by: str, least: int, remarks: list[str]
) -> tuple[Ints, list[str], bool]:
    """What is resampled, and whether there is enough of it for an interval.

    Donors where labels were given to them or to their samples. Else groups where there are enough of them,
    or cells, sisters of a clone together.
    """
    n_groups = n_labels(obs, by) if by else 0
    of_groups = level != "cell" or n_groups >= least
    short = without_units(text(obs, by), types, level, (DONORS_PER_LABEL, MIXED_DONORS)) if by else ""
    if by and short:
        remarks.insert(0, f"no interval: {short}")
    elif by:
        remarks.insert(0, f"interval for {'any' if of_groups else 'these'} {plural(by)}")
    resampled = text(obs, by) if of_groups else kin(obs)
    units, unit = np.unique(np.asarray(resampled, dtype=np.str_), return_inverse=True)
    return unit.astype(np.intp), units.tolist(), not short
