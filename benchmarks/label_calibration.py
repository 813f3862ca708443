"""Simulated donors whose cells' types are known, for ``calibration.py``.

Each study draws donors anew, with cells of five types that every donor shows a little differently, and a
model of several layers that see the same cells more or less well; nothing but noise differs between studies.
Three folds in place of five, which halves the time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from calibration import Scenario, Study, scenarios, study_of, subject

from layerscope.tasks.label.design import design_of
from layerscope.tasks.label.scores import PROBE_MACRO_F1, score_layer
from layerscope.tasks.label.settings import LabelSettings

SCENARIOS = scenarios("cell labels")
SETTINGS = LabelSettings(folds=3, shuffles=0, resamples=500, splits=20)
QUICK = SETTINGS.model_copy(update={"refits": 0, "resamples": 1, "splits": 1})
SIZE = 12  # donors
SHARES = (0.35, 0.25, 0.2, 0.12, 0.08)
WIDTH, CELLS_PER_DONOR, BETWEEN_DONORS = 12, 50, 0.4


def simulate(scenario: Scenario, n_donors: int, settings: LabelSettings, seed: int) -> Study:
    """Draw one study and score every layer."""
    random = np.random.default_rng([13, SCENARIOS.index(scenario), seed])
    centres = np.random.default_rng(3).normal(size=(len(SHARES), WIDTH))
    donor = np.repeat(np.arange(n_donors), CELLS_PER_DONOR)
    kind = random.choice(len(SHARES), len(donor), p=SHARES)
    shown = centres + BETWEEN_DONORS * random.normal(size=(n_donors, *centres.shape))
    state = shown[donor, kind] + random.normal(size=(len(donor), WIDTH))
    label = random.permutation(kind) if scenario.shuffled else kind
    obs = pd.DataFrame(
        {"cell_type": label.astype(str), "donor": [f"study{seed}donor{one}" for one in donor]},
        index=[f"study{seed}cell{cell}" for cell in range(len(donor))],
    )
    design = design_of(obs, settings, seed)
    matrices = (signal * state + random.normal(size=state.shape) for signal in scenario.signal)
    about = subject("label", seed)
    return study_of((score_layer(of, design, settings, about) for of in matrices), PROBE_MACRO_F1)
