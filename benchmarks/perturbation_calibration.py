"""Simulated screens, for ``calibration.py``.

Each study draws cells of perturbations in modules, their counts, and a model of several layers that see the
same cells more or less well; nothing but noise differs between studies. Scored by protocol strict.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios
from scipy import sparse

from layerscope.tables import CHOSEN_ON, SCORED_ON, Subject
from layerscope.tasks.perturbation.design import make_design
from layerscope.tasks.perturbation.effects import count_effects
from layerscope.tasks.perturbation.settings import StrictSettings
from layerscope.tasks.perturbation.strict import METRIC, strict_scores
from layerscope.tasks.perturbation.strict_reference import Expression, make_reference
from layerscope.tasks.screens.sums import sum_layer

SCENARIOS = scenarios("cell labels")
SETTINGS = StrictSettings.model_construct(
    cells_per_perturbation=48, buckets=4, cell_splits=3, shuffles=0, permutations=1, resamples=500, splits=20
)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "splits": 1})
SIZE = 24  # perturbations
MODULES, DIMENSIONS, GENES, CELLS, CONTROLS = 5, 8, 150, 60, 240
WIDTH = 12


def simulate(scenario: Scenario, n_perturbations: int, settings: StrictSettings, seed: int) -> Study:
    """Draw one study and score every layer by protocol strict."""
    random = np.random.default_rng([11, SCENARIOS.index(scenario), seed])
    fixed = np.random.default_rng(3)
    modules = fixed.normal(size=(MODULES, DIMENSIONS))
    program = 0.25 * fixed.normal(size=(DIMENSIONS, GENES))
    rates = fixed.gamma(1.0, 1.5, GENES)
    view = fixed.normal(size=(DIMENSIONS, WIDTH))
    strength = random.gamma(2, 0.4, (n_perturbations, 1))
    effects = modules[random.integers(0, MODULES, n_perturbations)] * strength
    owner = np.repeat(np.arange(n_perturbations + 1), [CONTROLS, *[CELLS] * n_perturbations])
    state = random.normal(size=(len(owner), DIMENSIONS))
    hidden = np.vstack([np.zeros(DIMENSIONS), effects])[owner] + state
    mean = random.lognormal(0, 0.3, (len(owner), 1)) * rates * np.exp(hidden @ program)
    counts = sparse.csr_matrix(random.poisson(mean).astype(np.float64))
    label = random.permutation(owner) if scenario.shuffled else owner
    obs = pd.DataFrame(
        {"perturbation": [f"study{seed}P{one:03d}" for one in label], "is_control": label == 0}
    )
    obs["replicate"] = random.integers(0, 3, len(obs)).astype(str)
    obs.index = [f"study{seed}cell{cell}" for cell in range(len(obs))]
    design = make_design(obs, settings, seed)
    expression = Expression(counts, np.asarray(counts.sum(axis=1)).ravel(), count_effects)
    reference = make_reference(expression, design, settings, seed)
    shared = 2.0 * random.normal(size=(len(owner), WIDTH))
    subject = Subject(
        condition="c", model="m", layer="01", depth=0.0, task="perturbation", protocol="strict", seed=seed
    )
    scored = []
    for signal in scenario.signal:
        # every layer sees the same of a cell, more or less of it, and has noise of its own
        matrix = signal * hidden @ view + shared + 2.0 * random.normal(size=shared.shape)
        layer = sum_layer(matrix, design.groups, design.n_groups)
        made = strict_scores(layer, None, reference, design, subject, settings)
        values = [made.resamples[METRIC + ending] for ending in ("", CHOSEN_ON, SCORED_ON)]
        scored.append((np.array([made.rows[0].estimate]), *values))
    return Study(*(np.stack(parts, axis=-1) for parts in zip(*scored, strict=True)))
