"""Which targets a perturbation has, and folds that hold out whole targets.

The rule for labels: a label is cut where several perturbations are joined (``+ , ; | &`` and the word
``and``), and parts that are controls are dropped (``KLF1+ctrl`` is KLF1). A part that is a gene of the cells,
or the whole label of a perturbation, is a target. Of any other part the pieces between underscores that are
such are its targets (``KLF1_MAP2K6``, ``KLF1_guide2``); a part with no such piece is a target by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from layerscope.arrays import Bools, Ints
from layerscope.cells.controls import COMBINED, is_control


def targets_of(names: Sequence[str], genes: Collection[str]) -> list[list[str]]:
    """Targets of every perturbation, sorted; ``genes`` are the names of the cells' genes."""
    known = {*genes, *names}
    return [_targets(name, genes, known) for name in names]


def _targets(name: str, genes: Collection[str], known: Collection[str]) -> list[str]:
    if name in genes:
        return [name]
    parts = [part.strip() for part in COMBINED.split(name)]
    parts = [part for part in parts if part and not is_control(part)]
    targets: set[str] = set()
    for part in parts:
        if part in genes or (part in known and part != name):
            targets.add(part)
        else:
            pieces = [piece for piece in part.split("_") if piece in known]
            targets.update(pieces or [part])
    return sorted(targets) or [name]


@dataclass(frozen=True)
class Folds:
    """Parts of the perturbations that are held out together."""

    unit: Ints  # number of the target that each perturbation belongs to, the first of its targets by name
    units: list[str]  # names of those targets
    test: Bools  # held out in each fold, (n_folds, n_perturbations)
    train: Bools  # those that share no target with any of them


def folds_of(targets: Sequence[Sequence[str]], n_folds: int) -> Folds:
    """Deal targets into folds of nearly equal numbers of perturbations, by their names alone.

    Perturbations that are linked by shared targets go into one fold, the largest such group first; one that
    is larger than a fold goes on in the next.
    """
    units, unit = np.unique([own[0] for own in targets], return_inverse=True)
    shared = shares(targets)
    group = connected_components(csr_matrix(shared), directed=False)[1]
    size = np.bincount(group)[group]
    first = np.array([min(unit[group == own]) for own in group])
    order = np.lexsort([unit, first, -size])
    capacity = -(-len(targets) // n_folds)
    fold = np.full(len(units), -1)
    filled = np.zeros(min(n_folds, len(units)), dtype=np.intp)
    current, last = 0, -1
    for place in order:
        if fold[unit[place]] >= 0:
            continue
        if group[place] != last or filled[current] >= capacity:
            current, last = int(filled.argmin()), group[place]
        fold[unit[place]] = current
        filled[current] += (unit == unit[place]).sum()
    of_perturbation = fold[unit]
    test = np.arange(len(filled))[:, None] == of_perturbation
    train = np.array([~(shared[held_out].any(axis=0)) for held_out in test])
    return Folds(unit, units.tolist(), test, train)


def shares(targets: Sequence[Sequence[str]]) -> Bools:
    """Whether two perturbations share a target, perturbations x perturbations."""
    names = sorted({name for own in targets for name in own})
    number = {name: index for index, name in enumerate(names)}
    member = np.zeros((len(targets), len(names)))
    for row, own in zip(member, targets, strict=True):
        row[[number[name] for name in own]] = 1
    return np.asarray(member @ member.T > 0)
