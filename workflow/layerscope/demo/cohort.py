"""A cohort: donors of four ages, half of them ill, each with an unstimulated and a stimulated sample.

What was given to donors (age, disease), to samples (stimulus, chemistry) and to cells (type) is known, and so
is a label that means nothing (``nonsense``), dealt to donors.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from layerscope.demo.counts import batch_effects
from layerscope.demo.processes import DIFFERENTIATION_NOISE, Cells, noisy
from layerscope.demo.program import FATES, PROGRAMS, Array, RegulatoryProgram, differentiation_activity
from layerscope.demo.settings import Cohort

AGES = ("20 years", "40 years", "60 years", "80 years")
CHEMISTRIES = ("v2", "v3")
DISEASE = {"survival": 0.5, "growth": -0.4}
"""Change of programs' activity in cells of ill donors."""
STIMULUS = {"early_response": 0.8, "cytokine": 0.5}
AGEING = {"multipotency": 0.25}
"""The same for each step of age."""
OF_DONOR, OF_DONORS_GENES = 0.1, 0.1
"""Standard deviations between donors: of programs' activity, and of a gene's log-rate."""


def cohort_cells(program: RegulatoryProgram, settings: Cohort, rng: np.random.Generator) -> Cells:
    """Cells of all donors and samples, in random order."""
    n_donors, n_cells = settings.donors, 2 * settings.donors * settings.cells_per_sample
    order = rng.permutation(n_cells)
    sample = np.repeat(np.arange(2 * n_donors), settings.cells_per_sample)[order]
    donor, stimulated = np.divmod(sample, 2)
    age = (np.arange(n_donors) % len(AGES))[donor]
    ill = (rng.permutation(n_donors) % 2)[donor]
    nonsense = (rng.permutation(n_donors) % 2)[donor]
    chemistry = (rng.permutation(n_donors) % len(CHEMISTRIES))[donor]
    fate = rng.choice(np.array(FATES), n_cells)

    activity = differentiation_activity(rng.uniform(0.8, 1.0, n_cells), fate)
    names = [part.name for part in PROGRAMS]
    for changes, strength in ((DISEASE, ill), (STIMULUS, stimulated), (AGEING, age)):
        for name, change in changes.items():
            activity[:, names.index(name)] += change * strength
    activity += rng.normal(0.0, OF_DONOR, (n_donors, len(PROGRAMS)))[donor]
    activity = noisy(np.maximum(activity, 0.0), DIFFERENTIATION_NOISE, rng)
    effects: Array = rng.normal(0.0, OF_DONORS_GENES, (n_donors, program.n_genes))
    effects_of_batch = batch_effects(len(CHEMISTRIES), 2 * settings.batch_spread, program, rng)
    log_rates = program.base + activity @ program.loadings.T + effects[donor] + effects_of_batch[chemistry]
    obs = pd.DataFrame(
        {
            "donor": [f"donor{d + 1:02d}" for d in donor],
            "sample": [f"donor{d + 1:02d}_{s}" for d, s in zip(donor, stimulated, strict=True)],
            "batch": np.array(CHEMISTRIES)[chemistry],
            "age": pd.Categorical(np.array(AGES)[age], categories=list(AGES), ordered=True),
            "cell_type": np.char.add("mature_", fate),
            "disease": np.array(["well", "ill"])[ill],
            "stimulus": np.array(["unstimulated", "stimulated"])[stimulated],
            "nonsense": np.array(["a", "b"])[nonsense],
        }
    )
    return Cells(obs, activity, log_rates)
