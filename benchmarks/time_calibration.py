"""Simulated donors of four ages, for ``calibration.py``.

Each study draws donors anew: cells of one age a donor, which every donor shows a little differently, and a
model of several layers that see the same cells more or less well; nothing but noise differs between studies.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios, study_of, subject

from layerscope.tasks.time.design import design_of
from layerscope.tasks.time.scores import TAU, score_layer
from layerscope.tasks.time.settings import TimeSettings

SCENARIOS = scenarios("times")
SETTINGS = TimeSettings(dealings=0, shuffles=0, resamples=500, splits=20)
QUICK = SETTINGS.model_copy(update={"resamples": 1, "splits": 1})
SIZE = 16  # donors
WIDTH, TIMES, CELLS_PER_DONOR, BETWEEN_DONORS = 6, 4, 20, 0.7


def simulate(scenario: Scenario, n_donors: int, settings: TimeSettings, seed: int) -> Study:
    """Draw one study and score every layer."""
    random = np.random.default_rng([14, SCENARIOS.index(scenario), seed])
    donor = np.repeat(np.arange(n_donors), CELLS_PER_DONOR)
    age = random.permutation(np.arange(n_donors) % TIMES)
    shown = BETWEEN_DONORS * random.normal(size=(n_donors, WIDTH))
    shown[:, 0] += 0.5 * age
    state = shown[donor] + 0.5 * random.normal(size=(len(donor), WIDTH))
    given = random.permutation(age) if scenario.shuffled else age
    times = pd.Categorical.from_codes(given[donor], [f"age {k}" for k in range(TIMES)], ordered=True)
    obs = pd.DataFrame(
        {"time": times, "donor": [f"study{seed}donor{one}" for one in donor]},
        index=[f"study{seed}cell{cell}" for cell in range(len(donor))],
    )
    design = design_of(obs, settings, seed)
    matrices = (signal * state + 0.5 * random.normal(size=state.shape) for signal in scenario.signal)
    about = subject("time", seed)
    return study_of((score_layer(of, design, settings, about) for of in matrices), TAU)
