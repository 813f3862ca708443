"""Which cells and types are scored, and which cells test a probe that was fitted to which others.

Nothing here looks at an embedding, and everything is decided in the order of the cells' names: folds,
shuffles and resamples are the same for every layer and model of a condition, whatever the order of its file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.chance import Chance, generator
from layerscope.tasks.cell_type.settings import CellTypeSettings
from layerscope.tasks.folds import (
    CLONE,
    NoScoreError,
    grouped_folds,
    kin,
    named_few,
    numbered,
    plural,
    stratified_folds,
    text,
)

Ints = npt.NDArray[np.intp]
CELL_TYPE = "cell_type"
SAMPLE = 1
"""Stream of the cells' random numbers: which are scored."""


@dataclass(frozen=True)
class Design:
    """The cells that are scored, in the order of their names."""

    cells: Ints
    """Rows of the cells' table."""
    types: Ints
    """Type of each cell, numbered by the first cell that has it."""
    n_types: int
    folds: Ints
    """Part of the cross-validation that each cell is tested in."""
    random_folds: Ints | None
    """As many folds that ignore the groups, stratified by type; None where ``folds`` are such."""
    shuffled: Ints
    """Types under each shuffle, shape ``(n_shuffles, n_cells)``; none where it would change nothing."""
    unit: Ints
    """What is resampled: number of each cell's unit."""
    units: list[str]
    by: str
    """Column whose groups the folds keep together; empty where there is none."""
    how: str
    """How the folds were made, in words."""
    remark: str
    """What the interval is for and what was left out, in words."""

    def among(self, chosen: npt.NDArray[np.bool_]) -> Design:
        """The design of some of its cells."""
        return replace(
            self,
            cells=self.cells[chosen],
            types=self.types[chosen],
            folds=self.folds[chosen],
            random_folds=None if self.random_folds is None else self.random_folds[chosen],
            shuffled=self.shuffled[:, chosen],
            unit=self.unit[chosen],
        )


def design_of(obs: pd.DataFrame, settings: CellTypeSettings, seed: int) -> Design:
    """Choose cells, types and folds.

    Every type lies in two folds at least, so every training set holds all types. Raises NoScoreError if the
    cells have no types, or fewer than two that can be told apart.
    """
    if CELL_TYPE not in obs or not (text(obs, CELL_TYPE) != "").any():
        raise NoScoreError("not_available", "the cells have no column cell_type")
    remarks: list[str] = []
    named = obs.assign(row=np.arange(len(obs))).sort_index(kind="stable")
    known = _selected(named, text(named, CELL_TYPE) != "", "without a cell type", remarks)
    by = next((name for name in settings.grouped_by if _n_labels(known, name) > 1), "")
    if by:
        known = _selected(known, text(known, by) != "", f"without a {by}", remarks)
    known = _sampled(known, settings.most_cells, seed, remarks)
    known = _large_types(known, settings.cells_per_type, remarks)
    chance = Chance(seed, known.index.tolist())
    types = numbered(text(known, CELL_TYPE))
    if by:
        folds = grouped_folds(text(known, by), settings.folds)
        how = _how_grouped(by, _n_labels(known, by), len(np.unique(folds)))
    else:
        folds = stratified_folds(types, kin(known), settings.folds, chance)
        how = f"no {' or '.join(settings.grouped_by) or 'grouping'}: folds stratified by cell type"
        how += ", clones kept together" if _n_labels(known, CLONE) else ""
    known, folds = _in_two_folds(known, folds, by, remarks)
    types = numbered(text(known, CELL_TYPE))
    n_types = _demand_types(types, remarks)
    chance = Chance(seed, known.index.tolist())
    n_folds = len(np.unique(folds))
    unit, units = _units(known, by, settings.least_groups, remarks)
    return Design(
        cells=known["row"].to_numpy(dtype=np.intp),
        types=types,
        n_types=n_types,
        folds=folds,
        random_folds=stratified_folds(types, kin(known), n_folds, chance) if by else None,
        shuffled=shuffles(known, types, folds, settings.shuffles, seed, remarks),
        unit=unit,
        units=units,
        by=by,
        how=how,
        remark="; ".join(remarks),
    )


def shuffles(
    obs: pd.DataFrame, types: Ints, folds: Ints, n_shuffles: int, seed: int, remarks: list[str]
) -> Ints:
    """Types dealt anew among the cells of the same donor and batch, shape ``(n_shuffles, n_cells)``.

    Where there is neither, among the cells of the same fold. The number of cells of each type in a fold stays
    as it is. Where the cells of each donor and batch are all of one type, as in a comparison of diseases,
    every shuffle would score what the true types score: there are none, and a remark says so.
    """
    within = [column for column in ("donor", "batch") if column in obs]
    stratum = pd.Series(folds).astype(str)
    for column in within:
        stratum = stratum + "\0" + pd.Series(text(obs, column))
    if n_shuffles and len(set(zip(stratum, types, strict=True))) == len(set(stratum)):
        remarks.append(
            f"no null and no p-value: all cells of a {' and '.join(within) or 'fold'} have the same "
            f"{CELL_TYPE}, so that shuffling within it changes nothing"
        )
        return np.empty((0, len(types)), dtype=np.intp)
    random = generator(seed, obs.index.tolist(), "label shuffles")
    order = np.argsort(stratum.to_numpy(), kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbered(stratum.to_numpy()[order]))) + 1)
    shuffled = np.tile(types, (n_shuffles, 1))
    for row in shuffled:
        for part in parts:
            row[part] = types[random.permutation(part)]
    return shuffled


def _n_labels(obs: pd.DataFrame, column: str) -> int:
    return len(set(text(obs, column)) - {""}) if column in obs else 0


def _selected(
    obs: pd.DataFrame, keep: npt.NDArray[np.bool_], without: str, remarks: list[str]
) -> pd.DataFrame:
    if not keep.all():
        remarks.append(f"{int((~keep).sum())} cells {without} left out")
    return obs[keep]


def _sampled(obs: pd.DataFrame, n_cells: int, seed: int, remarks: list[str]) -> pd.DataFrame:
    if len(obs) <= n_cells:
        return obs
    order = np.argsort(Chance(seed, obs.index.tolist()).keys(SAMPLE), kind="stable")
    remarks.append(f"{n_cells} of {len(obs)} cells, drawn by the seed")
    return obs.iloc[np.sort(order[:n_cells])]


def _large_types(obs: pd.DataFrame, least: int, remarks: list[str]) -> pd.DataFrame:
    labels = pd.Series(text(obs, CELL_TYPE))
    sizes = labels.value_counts()
    small = sorted(sizes.index[sizes < least])
    if small:
        remarks.append(f"left out for having fewer than {least} cells: {named_few(small)}")
    return obs[~labels.isin(small).to_numpy()]


def _in_two_folds(obs: pd.DataFrame, folds: Ints, by: str, remarks: list[str]) -> tuple[pd.DataFrame, Ints]:
    labels = pd.Series(text(obs, CELL_TYPE))
    spread = pd.Series(folds).groupby(labels).nunique()
    alone = sorted(spread.index[spread < 2])
    if alone:
        where = f"one fold of {plural(by)}" if by else "one fold"
        remarks.append(f"left out for lying in {where}: {named_few(alone)}")
    keep = ~labels.isin(alone).to_numpy()
    return obs[keep], folds[keep]


def _demand_types(types: Ints, remarks: Sequence[str]) -> int:
    n_types = len(np.unique(types))
    if n_types < 2:
        told = f"{n_types or 'no'} cell type{'' if n_types == 1 else 's'} left, nothing to tell apart"
        raise NoScoreError("undefined", "; ".join([told, *remarks]))
    return n_types


def _units(obs: pd.DataFrame, by: str, least: int, remarks: list[str]) -> tuple[Ints, list[str]]:
    """What is resampled: groups where there are enough of them, else cells, sisters of a clone together."""
    n_groups = _n_labels(obs, by) if by else 0
    resampled = text(obs, by) if n_groups >= least else kin(obs)
    if by:
        whose = "any" if n_groups >= least else "these"
        remarks.insert(0, f"interval for {whose} {plural(by)}")
    units, unit = np.unique(np.asarray(resampled, dtype=np.str_), return_inverse=True)
    return unit.astype(np.intp), units.tolist()


def _how_grouped(by: str, n_groups: int, n_folds: int) -> str:
    if n_folds == n_groups:
        return f"each of {n_groups} {plural(by)} tested by the others"
    return f"{n_groups} {plural(by)} in {n_folds} folds"
