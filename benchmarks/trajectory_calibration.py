"""Simulated studies of the trajectory task, for ``calibration.py``.

Each study draws cells along a branchless trajectory (three sampling times, two batches, sisters that sit
close together) and a model of several layers that follow it more or less well; nothing but noise differs
between studies. Scored by protocol strict.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios, study_of, subject

from layerscope.tasks.trajectory.references import Reference
from layerscope.tasks.trajectory.settings import StrictSettings
from layerscope.tasks.trajectory.strict import SOMERS_D, score_strict

SCENARIOS = scenarios("time labels")
SETTINGS = StrictSettings(neighbourhoods=(15, 30), roots=20, resamples=500)
QUICK = SETTINGS.model_copy(update={"halvings": 0, "resamples": 0})
SIZE = 400  # cells
N_DIMENSIONS = 20
NOISE, SHARED_NOISE = 0.3, 0.4
SISTERS = 4


def simulate(scenario: Scenario, n_cells: int, settings: StrictSettings, seed: int) -> Study:
    """Draw one study and score every layer by protocol strict."""
    random = np.random.default_rng([7, SCENARIOS.index(scenario), seed])
    founder = np.repeat(random.random(-(-n_cells // SISTERS)), SISTERS)[:n_cells]
    position = np.clip(founder + 0.1 * random.normal(size=n_cells), 0, 1)
    labels = np.array(["early", "middle", "late"])
    time = np.clip((3 * (position + 0.15 * random.normal(size=n_cells))).astype(int), 0, 2)
    clones = np.array([f"clone{cell // SISTERS}" for cell in range(n_cells)])
    obs = pd.DataFrame(
        {
            "time": pd.Categorical(labels[time], categories=labels, ordered=True),
            "batch": np.where(random.random(n_cells) < 0.5, "one", "two"),
            "is_root": position < 0.2,
            "clone": clones,
        },
        index=[f"study{seed}cell{cell}" for cell in range(n_cells)],
    )
    if scenario.shuffled:
        obs = obs.iloc[random.permutation(n_cells)].set_index(obs.index)
    path = np.cos(np.outer(position, np.linspace(1, 6, N_DIMENSIONS)) + np.arange(N_DIMENSIONS))
    shared = SHARED_NOISE * random.normal(size=path.shape)
    reference = Reference(list(obs.index), position, 0, "simulated", "simulated")
    matrices = (signal * path + shared + NOISE * random.normal(size=path.shape) for signal in scenario.signal)
    about = subject("trajectory", 1)
    layers = (score_strict(of.astype(np.float32), reference, obs, about, settings) for of in matrices)
    return study_of(layers, SOMERS_D)
