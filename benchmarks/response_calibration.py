"""Simulated screens whose effects are decoded, for ``calibration.py``.

Each study draws perturbations in modules, cells of each, their counts, and a model of several layers that see
the same cells more or less well; nothing but noise differs between studies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios
from scipy import sparse

from layerscope.tables import CHOSEN_ON, SCORED_ON, Subject
from layerscope.tasks.response.reference import make_reference
from layerscope.tasks.response.scores import METRIC, Screen, score_layer
from layerscope.tasks.response.settings import ResponseSettings
from layerscope.tasks.screens.design import deal_design
from layerscope.tasks.screens.sums import sum_layer

SCENARIOS = scenarios("cell labels")
SETTINGS = ResponseSettings(buckets=4, cell_splits=3, shuffles=0, resamples=500, splits=20)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "splits": 1})
SIZE = 24  # targets
MODULES, DIMENSIONS, GENES, CELLS, CONTROLS = 5, 8, 150, 60, 240
WIDTH = 12


def simulate(scenario: Scenario, n_targets: int, settings: ResponseSettings, seed: int) -> Study:
    """Draw one study and score every layer."""
    random = np.random.default_rng([17, SCENARIOS.index(scenario), seed])
    fixed = np.random.default_rng(3)
    modules = fixed.normal(size=(MODULES, DIMENSIONS))
    program = 0.25 * fixed.normal(size=(DIMENSIONS, GENES))
    rates = fixed.gamma(1.0, 1.5, GENES)
    view = fixed.normal(size=(DIMENSIONS, WIDTH))
    strength = random.gamma(2, 0.4, (n_targets, 1))
    effects = modules[random.integers(0, MODULES, n_targets)] * strength
    owner = np.repeat(np.arange(n_targets + 1), [CONTROLS, *[CELLS] * n_targets])
    state = random.normal(size=(len(owner), DIMENSIONS))
    hidden = np.vstack([np.zeros(DIMENSIONS), effects])[owner] + state
    mean = random.lognormal(0, 0.3, (len(owner), 1)) * rates * np.exp(hidden @ program)
    counts = random.poisson(mean)
    expression = sparse.csr_matrix(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)))
    label = random.permutation(owner) if scenario.shuffled else owner
    obs = pd.DataFrame(
        {"perturbation": [f"study{seed}P{one:03d}" for one in label], "is_control": label == 0},
        index=[f"study{seed}cell{cell}" for cell in range(len(owner))],
    )
    design = deal_design(
        obs,
        sorted(set(obs["perturbation"][~obs["is_control"]])),
        cells_per_perturbation=settings.cells_per_perturbation,
        n_buckets=settings.buckets,
        n_shuffles=settings.shuffles,
        seed=seed,
    )
    genes = pd.DataFrame(index=[f"gene{number}" for number in range(GENES)])
    reference = make_reference(expression, genes, obs, design, genes.index, settings, seed)
    compared = Screen(reference, settings)
    ceiling = compared.ceiling()
    shared = 2.0 * random.normal(size=(len(owner), WIDTH))
    subject = Subject(
        condition="c", model="m", layer="01", depth=0.0, task="response", protocol="strict", seed=seed
    )
    scored = []
    for signal in scenario.signal:
        # every layer sees the same of a cell, more or less of it, and has noise of its own
        matrix = signal * hidden @ view + shared + 2.0 * random.normal(size=shared.shape)
        made = score_layer(
            sum_layer(matrix, design.groups, design.n_groups),
            matrix[reference.cells.rows],
            compared,
            ceiling,
            subject,
        )
        values = [made.resamples[METRIC + ending] for ending in ("", CHOSEN_ON, SCORED_ON)]
        scored.append((np.array([made.rows[0].estimate]), *values))
    return Study(*(np.stack(parts, axis=-1) for parts in zip(*scored, strict=True)))
