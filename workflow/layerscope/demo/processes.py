"""The two processes that cells go through: differentiation with clones, and activation with knock-downs.

Each gives the truth of every cell (a table) and its log-rates; :mod:`layerscope.demo.counts` counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from layerscope.demo.counts import batch_effects
from layerscope.demo.program import (
    FATES,
    STATES,
    Array,
    RegulatoryProgram,
    activation_activity,
    differentiation_activity,
    regulators,
)
from layerscope.demo.settings import Differentiation, Perturbation

TIMES = ("Day3", "Day10", "Day17")
MATURITY = ((1.2, 5.0), (3.0, 3.0), (4.5, 1.5))
"""Pseudotimes of the cells sampled at each time are Beta distributed with these parameters."""

FIRST_BRANCH, SECOND_BRANCH, MATURE = 0.45, 0.64, 0.82
FATE_CONCENTRATION = 0.4
CLONE_SIZE = 5.0
DIFFERENTIATION_NOISE, ACTIVATION_NOISE = 0.2, 0.4
"""Standard deviations, on the log scale, of a program's activity among cells that are alike otherwise."""

NON_TARGETING = "non-targeting"
EFFICACY = ((0.75, 0.95), (0.45, 0.80))
"""Ranges of the mean efficacy of a perturbation's first and second guide."""

EFFICACY_CONCENTRATION = 12.0


@dataclass(frozen=True)
class Cells:
    """Cells before they are counted.

    Their table, the activities of the programs in them ``(n_cells, n_programs)``, and ``eta`` ``(n_cells,
    n_genes)``.
    """

    obs: pd.DataFrame
    activity: Array
    log_rates: Array


def differentiating_cells(
    program: RegulatoryProgram, settings: Differentiation, rng: np.random.Generator
) -> Cells:
    """Cells on the way from the stem cell to a fate, sampled at three times; sisters mostly share a fate."""
    n_cells = settings.cells
    clone = _clones(n_cells, settings.clonal_share, rng)
    bias = rng.dirichlet(np.full(len(FATES), FATE_CONCENTRATION), clone.max() + 1)
    # cells without a barcode (clone -1) have ancestors too: a bias of their own each
    own = rng.dirichlet(np.full(len(FATES), FATE_CONCENTRATION), n_cells)
    bias = np.where(clone[:, None] >= 0, bias[clone], own)
    drawn = (rng.random(n_cells)[:, None] > bias.cumsum(axis=1)).sum(axis=1)
    fate = np.array(FATES)[np.minimum(drawn, len(FATES) - 1)]

    time = rng.integers(0, len(TIMES), n_cells)
    first, second = np.array(MATURITY).T
    pseudotime = rng.beta(first[time], second[time])
    batch = rng.integers(0, settings.batches, n_cells)
    effects = batch_effects(settings.batches, settings.batch_spread, program, rng)

    activity = noisy(differentiation_activity(pseudotime, fate), DIFFERENTIATION_NOISE, rng)
    log_rates = program.base + activity @ program.loadings.T + effects[batch]
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(np.array(TIMES)[time], categories=list(TIMES), ordered=True),
            "batch": [f"batch{b + 1}" for b in batch],
            "cell_type": cell_type(pseudotime, fate),
            "clone": [f"clone{c + 1:04d}" if c >= 0 else "" for c in clone],
            "true_pseudotime": pseudotime,
            "true_fate": fate,
        }
    )
    return Cells(obs, activity, log_rates)


def cell_type(pseudotime: Array, fate: NDArray[np.str_]) -> NDArray[np.str_]:
    """Stage that a cell has reached: ``stem``, ``multipotent``, ``progenitor_..`` or ``mature_..``."""
    shared = np.where((fate != "A") & (pseudotime < SECOND_BRANCH), "BC", fate)
    return np.select(
        [pseudotime < 0.2, pseudotime < FIRST_BRANCH, pseudotime < MATURE],
        ["stem", "multipotent", np.char.add("progenitor_", shared)],
        np.char.add("mature_", fate),
    )


def perturbed_cells(
    program: RegulatoryProgram, settings: Perturbation, states: NDArray[np.intp], rng: np.random.Generator
) -> Cells:
    """Cells of the given activation states, each with one guide against one regulator, or a control guide."""
    n_cells = len(states)
    known = regulators(program, settings.program_seed, settings.perturbations)
    targets = program.genes["symbol"].to_numpy(dtype=object)[known.gene]
    # guides, lanes and their effects are one experiment: the same whatever the state
    guide_efficacy = np.array([rng.uniform(*bounds, settings.perturbations) for bounds in EFFICACY]).T
    guide_weight = rng.lognormal(0.0, 0.35, (settings.perturbations, 2))
    guide_weight *= (1 - settings.control_share) / guide_weight.sum()
    lane_batch = np.arange(settings.lanes) % settings.batches
    effects = batch_effects(settings.batches, settings.batch_spread, program, rng)[lane_batch]
    effects += batch_effects(settings.lanes, settings.batch_spread / 2, program, rng)

    controls = np.full(settings.control_guides, settings.control_share / settings.control_guides)
    weights = np.concatenate([guide_weight.ravel(), controls])
    drawn = rng.choice(len(weights), n_cells, p=weights)
    is_control = drawn >= guide_weight.size
    regulator, guide = np.divmod(np.where(is_control, 0, drawn), 2)
    mean = guide_efficacy[regulator, guide]
    efficacy = rng.beta(mean * EFFICACY_CONCENTRATION, (1 - mean) * EFFICACY_CONCENTRATION)
    efficacy = np.where(is_control, 0.0, efficacy)
    lane = rng.integers(0, settings.lanes, n_cells)

    activity = noisy(activation_activity(states), ACTIVATION_NOISE, rng)
    activity *= 1.0 - efficacy[:, None] * known.strength[regulator]
    log_rates = program.base + activity @ program.loadings.T + effects[lane]
    log_rates += efficacy[:, None] * known.private[regulator]
    log_rates[np.arange(n_cells), known.gene[regulator]] += np.log1p(-efficacy)

    modules = np.array([known.modules(r) for r in range(settings.perturbations)], dtype=object)
    names = np.where(is_control, NON_TARGETING, targets[regulator])
    guides = [
        f"NTC_g{d - guide_weight.size + 1}" if control else f"{name}_g{g + 1}"
        for name, g, d, control in zip(names, guide, drawn, is_control, strict=True)
    ]
    obs = pd.DataFrame(
        {
            "perturbation": names.astype(str),
            "guide": guides,
            "lane": [f"lane{i + 1}" for i in lane],
            "batch": [f"batch{lane_batch[i] + 1}" for i in lane],
            "is_control": is_control,
            "activation": pd.Categorical(np.array(STATES)[states], categories=list(STATES), ordered=True),
            "true_module": np.where(is_control, "", modules[regulator]).astype(str),
            "true_efficacy": efficacy,
        }
    )
    return Cells(obs, activity, log_rates)


def noisy(activity: Array, spread: float, rng: np.random.Generator) -> Array:
    """Activities times log-normal noise of mean 1: cells of one state are not all alike."""
    noise = rng.normal(-(spread**2) / 2, spread, activity.shape)
    return np.asarray(activity * np.exp(noise))


def _clones(n_cells: int, share: float, rng: np.random.Generator) -> NDArray[np.intp]:
    """Clone of each cell (-1: none), clone sizes geometric with a mean of about five."""
    clone = np.full(n_cells, -1, dtype=np.intp)
    members = rng.permutation(n_cells)[: round(share * n_cells)]
    start, number = 0, 0
    while start < len(members):
        size = 1 + rng.geometric(1 / (CLONE_SIZE - 1))
        clone[members[start : start + size]] = number
        start, number = start + size, number + 1
    return clone
