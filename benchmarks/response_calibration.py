"""Simulated screens whose effects are decoded, for ``calibration.py``: cells, counts and layers of
``perturbation_calibration.py``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios, study_of, subject
from perturbation_calibration import GENES, Screen
from scipy import sparse

from layerscope.tasks.response.reference import make_reference
from layerscope.tasks.response.scores import METRIC, score_layer
from layerscope.tasks.response.scores import Screen as Compared
from layerscope.tasks.response.settings import ResponseSettings
from layerscope.tasks.screens.design import deal_design
from layerscope.tasks.screens.sums import sum_layer

SCENARIOS = scenarios("cell labels")
SETTINGS = ResponseSettings(buckets=4, cell_splits=3, shuffles=0, resamples=500, splits=20)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "splits": 1})
SIZE = 24  # targets


def simulate(scenario: Scenario, n_targets: int, settings: ResponseSettings, seed: int) -> Study:
    """Draw one study and score every layer."""
    random = np.random.default_rng([17, SCENARIOS.index(scenario), seed])
    screen = Screen.drawn(random, n_targets, scenario.shuffled, f"study{seed}")
    obs, counts = screen.obs, screen.counts
    expression = sparse.csr_matrix(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)))
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
    compared, about = Compared(reference, settings), subject("response", seed)
    ceiling = compared.ceiling()
    layers = (
        (sum_layer(layer, design.groups, design.n_groups), layer[reference.cells.rows])
        for layer in screen.layers(scenario.signal, random)
    )
    return study_of((score_layer(*layer, compared, ceiling, about) for layer in layers), METRIC)
