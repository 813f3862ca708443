"""Which cells and labels are left out of the task, and why; to what the labels were given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Bools, Ints, Texts
from layerscope.tasks.folds import n_labels, named_few, plural, text
from layerscope.tasks.levels import Level, level_of
from layerscope.tasks.scored import NoScoreError

MIN_DONORS_PER_LABEL = 3
MIN_MIXED_DONORS = 2


def selected(obs: pd.DataFrame, keep: Bools, without: str, remarks: list[str]) -> pd.DataFrame:
    """The cells to keep; a remark counts the others."""
    if not keep.all():
        remarks.append(f"{int((~keep).sum())} cells {without} left out")
    return obs[keep]


def with_level(known: pd.DataFrame, column: str, remarks: list[str]) -> tuple[pd.DataFrame, Level, str]:
    """The cells with the unit that their label was given to, the level, and the column of whole donors.

    Cells of no donor (or sample) say nothing about the level, and are left out where it is not ``cell``.
    The unit of each cell stands in the column ``"\\x1funit"``, the group of units among which labels can be
    dealt in ``"\\x1fwithin"``.
    """
    if n_labels(known, column) < 2:
        return known, "cell", ""
    sample = "sample" if n_labels(known, "sample") else "batch"
    placed = np.ones(len(known), dtype=bool)
    for name in ("donor", sample):
        if name != column and n_labels(known, name) > 1:
            placed &= text(known, name) != ""
    labelled = level_of(known[placed], column) if placed.any() else None
    if labelled is None or labelled.level == "cell":
        return known, "cell", ""
    known = selected(known, placed, "without a donor or sample", remarks)
    units = np.asarray(labelled.names, dtype=object)[labelled.unit]
    known = known.assign(**{"\x1funit": units, "\x1fwithin": labelled.within})
    return known, labelled.level, labelled.by if labelled.level == "donor" else "donor"


def large_labels(obs: pd.DataFrame, column: str, least: int, remarks: list[str]) -> pd.DataFrame:
    """Cells of the labels that enough cells have."""
    labels = pd.Series(text(obs, column))
    sizes = labels.value_counts()
    small = sorted(sizes.index[sizes < least])
    if small:
        remarks.append(f"left out for having fewer than {least} cells: {named_few(small)}")
    return obs[~labels.isin(small).to_numpy()]


def labels_of_donors(obs: pd.DataFrame, column: str, by: str, remarks: list[str]) -> pd.DataFrame:
    """Cells of the labels that enough donors have."""
    labels = pd.Series(text(obs, column))
    donors = pd.Series(text(obs, by)).groupby(labels).nunique()
    few = [f"{label} ({n})" for label, n in donors.items() if n < MIN_DONORS_PER_LABEL]
    if few:
        remarks.append(
            f"left out for having fewer than {MIN_DONORS_PER_LABEL} {plural(by)}: {named_few(few)}"
        )
    return obs[labels.map(donors).to_numpy() >= MIN_DONORS_PER_LABEL]


def in_two_folds(
    obs: pd.DataFrame, column: str, folds: Ints, by: str, remarks: list[str]
) -> tuple[pd.DataFrame, Ints]:
    """Cells of the labels that two folds or more have, and the folds of these cells."""
    labels = pd.Series(text(obs, column))
    spread = pd.Series(folds).groupby(labels).nunique()
    alone = sorted(spread.index[spread < 2])
    if alone:
        where = f"one fold of {plural(by)}" if by else "one fold"
        remarks.append(f"left out for lying in {where}: {named_few(alone)}")
    keep = ~labels.isin(alone).to_numpy()
    return obs[keep], folds[keep]


def demand_labels(labels: Texts, remarks: Sequence[str]) -> tuple[str, ...]:
    """The labels by their number; a NoScoreError if there are fewer than two."""
    names = tuple(map(str, pd.unique(pd.Series(labels))))
    if len(names) < 2:
        told = f"{len(names) or 'no'} label{'' if len(names) == 1 else 's'} left, nothing to tell apart"
        raise NoScoreError("undefined", "; ".join([told, *remarks]))
    return names


def n_mixed(donors: Texts, types: npt.NDArray[np.generic]) -> int:
    """How many donors have several labels."""
    pairs = pd.DataFrame({"donor": donors, "label": types}).drop_duplicates()
    return int((pairs["donor"].value_counts() > 1).sum())


def demand_mixed_donors(obs: pd.DataFrame, column: str, remarks: Sequence[str]) -> None:
    """Raise a NoScoreError where too few donors have samples of different labels."""
    mixed = n_mixed(text(obs, "donor"), text(obs, column))
    if mixed < MIN_MIXED_DONORS:
        told = f"level sample: {mixed} donor{'' if mixed == 1 else 's'} with samples of different labels"
        raise NoScoreError(
            "undefined", "; ".join([f"{told}, at least {MIN_MIXED_DONORS} are needed", *remarks])
        )


def without_units(donors: Texts, types: Ints, level: Level, least: tuple[int, int]) -> str:
    """What there is too little of for an interval, in words; empty where there is enough."""
    per_label, mixed = least
    if level == "donor":
        fewest = int(pd.Series(donors).groupby(types).nunique().min())
        return (
            f"{fewest} donors have one of the labels, at least {per_label} are needed"
            if fewest < per_label
            else ""
        )
    if level == "sample" and (n := n_mixed(donors, types)) < mixed:
        return f"{n} donors have samples of different labels, at least {mixed} are needed"
    return ""
