"""Which cells are scored for their types and which for their mixing, and how both are shuffled and divided.

Nothing here looks at an embedding, and everything is decided in the order of the cells' names: it is the same
for every layer and model of a condition, whatever the order of its file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from layerscope.arrays import Bools, Ints
from layerscope.chance import Chance, generator
from layerscope.tasks.folds import (
    at_most,
    crossed,
    grouped_folds,
    named_few,
    numbered,
    stratified_folds,
    text,
)
from layerscope.tasks.integration.settings import IntegrationSettings
from layerscope.tasks.levels import dealt_within
from layerscope.tasks.scored import NoScoreError

BALANCE = 3
"""Stream of the cells' random numbers: which of a batch and type enter the mixing."""
KINDS_BY_COLUMN = {"donor": "donor", "time": "stimulus", "perturbation": "stimulus"}
KINDS_BY_NAME = {
    "donor": r"donor|patient|subject|individual|participant|animal|mouse|mice",
    "stimulus": r"stim|treat|drug|compound|dose|condition|disease|infect|perturb|guide|time|genotype",
}


@dataclass(frozen=True)
class Design:
    """The cells that are scored, in the order of their names."""

    cells: Ints
    """Rows of the cells' table."""
    types: Ints
    """Type of each cell, numbered by the first cell that has it; batches likewise."""
    batches: Ints
    tested: Bools
    """Cells of types that lie in two folds at least: those whose type is predicted."""
    balanced: Bools
    """Cells in which mixing is measured: of every type as many from each of its batches."""
    folds: Ints
    """Part of the cross-validation that each cell is tested in: whole batches."""
    random_folds: Ints
    """As many parts that ignore the batches, stratified by type."""
    shuffled_types: Ints
    """Types dealt anew among the tested cells of each batch, shape ``(n_shuffles, n_cells)``."""
    shuffled_batches: Ints
    """Batches dealt anew among the cells of each type, apart for those that are balanced and the others."""
    units: list[str]
    """What is resampled: for each cell its batch, or itself."""
    no_virtue: str
    """Why mixing is no virtue, in words; empty where it is one."""
    untested: str
    """Types whose cells are not tested, in words."""
    remark: str
    """What the interval is for and which cells were left out, in words."""

    def among(self, chosen: Bools) -> Design:
        """The design of some of its cells."""
        parts = {name: getattr(self, name)[chosen] for name in PER_CELL}
        shuffled = {name: getattr(self, name)[:, chosen] for name in ("shuffled_types", "shuffled_batches")}
        units = [unit for unit, taken in zip(self.units, chosen, strict=True) if taken]
        return replace(self, **parts, **shuffled, units=units)


PER_CELL = ("cells", "types", "batches", "tested", "balanced", "folds", "random_folds")


def design_of(obs: pd.DataFrame, settings: IntegrationSettings, seed: int) -> Design:
    """Choose the cells of both questions; NoScoreError unless two batches share two types."""
    remarks: list[str] = []
    cells = _labelled(obs, settings, remarks)
    cells = at_most(cells, settings.most_cells, seed, remarks)
    names = cells.index.tolist()
    chance = Chance(seed, names)
    types, batches = numbered(cells["type"]), numbered(cells["batch"])
    table = crossed(types, batches)
    _demand_shared_types(table, settings)
    folds = grouped_folds(cells["batch"], settings.folds)
    tested = _in_two_folds(types, folds, settings.cells_per_type)
    balanced = balanced_cells(types, batches, settings.cells_per_batch, chance.keys(BALANCE))
    any_batches = table.shape[1] >= settings.least_batches
    remarks.insert(0, f"interval for {'any' if any_batches else 'these'} batches")
    random = generator(seed, names, "shuffles of types and batches")
    return Design(
        cells=cells["row"].to_numpy(dtype=np.intp),
        types=types,
        batches=batches,
        tested=tested,
        balanced=balanced,
        folds=folds,
        random_folds=stratified_folds(types, names, len(np.unique(folds)), chance),
        shuffled_types=_shuffled(types, [batches, tested], settings.shuffles, random),
        shuffled_batches=_shuffled(batches, [types, balanced], settings.shuffles, random),
        units=cells["batch"].tolist() if any_batches else names,
        no_virtue=no_virtue(obs, settings),
        untested=_untested(cells["type"][~tested].unique().tolist(), settings.cells_per_type),
        remark="; ".join(remarks),
    )


def cramers_v(table: Ints) -> float:
    """Association of types and batches (Cramer 1946), 0 to 1; NaN if there is one of either."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    smaller = min(table.shape) - 1
    chi_squared = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi_squared / (table.sum() * smaller))) if smaller else float("nan")


def balanced_cells(types: Ints, batches: Ints, least: int, keys: npt.NDArray[np.uint64]) -> Bools:
    """Of each type as many cells (of smallest keys) from each batch that has ``least``, if two batches do."""
    chosen = np.zeros(len(types), dtype=bool)
    for kind, sizes in enumerate(crossed(types, batches)):
        large = np.flatnonzero(sizes >= least)
        if len(large) < 2:
            continue
        for batch in large:
            members = np.flatnonzero((types == kind) & (batches == batch))
            chosen[members[np.argsort(keys[members], kind="stable")[: sizes[large].min()]]] = True
    return chosen


def no_virtue(obs: pd.DataFrame, settings: IntegrationSettings) -> str:
    """Why mixing these batches is no virtue: they are donors or stimuli, whose differences are biology."""
    stated = settings.batches_are, "as the settings say"
    kind, why = _kind_of(obs, settings.batch) if stated[0] == "told_by_column" else stated
    if kind == "technical":
        return ""
    plural = {"donor": "donors", "stimulus": "stimuli"}[kind]
    return f"mixing is no virtue: the batches are {plural} ({why}), whose differences are biology too"


def _kind_of(obs: pd.DataFrame, column: str) -> tuple[str, str]:
    """What batches are by their column's name, or by another column of which each batch is one label."""
    for kind, words in KINDS_BY_NAME.items():
        if re.search(rf"(?<![a-z])({words})", column.lower()):
            return kind, f"column {column}"
    for other, kind in KINDS_BY_COLUMN.items():
        if other in obs:
            labels = pd.DataFrame({"batch": text(obs, column), "other": text(obs, other)})
            pairs = labels[(labels != "").all(axis=1)].drop_duplicates()
            if len(pairs) > 1 and not pairs["batch"].duplicated().any() and pairs["other"].is_unique:
                return kind, f"each is one {other}"
    return "technical", ""


def _labelled(obs: pd.DataFrame, settings: IntegrationSettings, remarks: list[str]) -> pd.DataFrame:
    """Cells that have a type and a batch, ordered by their names: columns ``type``, ``batch``, ``row``."""
    for column in (settings.cell_type, settings.batch):
        if column not in obs or not (text(obs, column) != "").any():
            raise NoScoreError("not_available", f"the cells have no column {column}")
    labels = {"type": text(obs, settings.cell_type), "batch": text(obs, settings.batch)}
    cells = pd.DataFrame(labels | {"row": np.arange(len(obs))}, index=obs.index).sort_index(kind="stable")
    known = (cells["type"] != "") & (cells["batch"] != "")
    if not known.all():
        remarks.append(f"{int((~known).sum())} cells without a type or batch left out")
    return cells[known]


def _demand_shared_types(table: Ints, settings: IntegrationSettings) -> None:
    """Refuse cells of which no two batches have two types in common: then a type may be its batch."""
    if table.shape[1] < 2:
        raise NoScoreError("undefined", f"column {settings.batch} has one label: there is nothing to mix")
    seen = (table >= settings.cells_per_type).astype(np.intp)
    shared = seen.T @ seen
    np.fill_diagonal(shared, 0)
    if shared.max() < 2:
        raise NoScoreError(
            "undefined",
            f"types and batches are confounded: no two batches have {settings.cells_per_type} cells each of "
            f"two types in common (Cramer's V {cramers_v(table):.2f})",
        )


def _in_two_folds(types: Ints, folds: Ints, least: int) -> Bools:
    """Cells of types that have so many cells, in two folds at least."""
    in_fold = crossed(types, folds)
    return np.asarray(((in_fold.sum(axis=1) >= least) & ((in_fold > 0).sum(axis=1) > 1))[types])


def _shuffled(
    labels: Ints, within: list[npt.NDArray[np.generic]], n: int, random: np.random.Generator
) -> Ints:
    """Labels dealt anew among the cells that are alike in all of ``within``, ``n`` times."""
    stratum = np.unique(np.stack([of.astype(np.intp) for of in within]), axis=1, return_inverse=True)[1]
    return dealt_within(labels, stratum, n, random)


def _untested(labels: list[str], least: int) -> str:
    if not labels:
        return ""
    return f"not tested for having fewer than {least} cells, or all in one part: {named_few(sorted(labels))}"
